/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as replies use them. */

import { isAbort, Trouble } from "./trouble";

/** The JSON of each `data:` frame of a body, in their order. */
export async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let held = "";
  for await (const text of textsOf(body)) {
    const frames = (held + text).split(/\r?\n\r?\n/);
    held = frames.pop() ?? "";
    for (const frame of frames) {
      const data = dataOf(frame);
      if (data !== "" && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

function dataOf(frame: string): string {
  const lines = frame.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}

/** A body's text as it comes; characters are never split. */
async function* textsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { value, done } = await read(reader);
      if (done) return;
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Trouble("connection", "The connection was lost in the middle of the reply.");
  }
}

/** Replies over a server's API, on the address that this page came from. Works in an insecure context too. */

import { EventSourceParserStream } from "eventsource-parser/stream";
import { aboutOf, bodyOf, eventsOf, type Chunk, type Health } from "./server_format";
import { remember, remembered } from "./tab_memory";
import type { About, Reply, ReplyEvent, ReplyRequest, Transport } from "./transport";
import { isAbort, Trouble } from "./trouble";

const KEY = "thinkport.key"; // of this tab alone
const PATIENCE = 4000; // ms that a server has to end a reply by itself

export class ServerTransport implements Transport {
  readonly place = "server";
  private key = remembered(KEY) ?? "";
  private checked = false; // whether the server took this key
  private tried: string | null = null;

  async about(): Promise<About> {
    const response = await reach("/health", {});
    const about = aboutOf((await response.json()) as Health);
    return { ...about, keyNeeded: about.keyNeeded && !(await this.isRight()) };
  }

  async useKey(key: string): Promise<boolean> {
    this.key = key;
    this.checked = false;
    this.tried = null;
    if (!(await this.isRight())) return false;
    remember(KEY, key);
    return true;
  }

  reply(request: ReplyRequest): Reply {
    const onWrongKey = (): void => {
      this.checked = false;
      this.tried = this.key;
    };
    return new ServerReply(request, this.headers(), onWrongKey);
  }

  private async isRight(): Promise<boolean> {
    if (this.checked || this.tried === this.key) return this.checked;
    const { key } = this; // the first time without one: the window's cookie is a key too
    const { ok } = await reach("/v1/models", { headers: this.headers() });
    if (key === this.key) [this.tried, this.checked] = [key, ok];
    return ok;
  }

  private headers(): Record<string, string> {
    const json = { "content-type": "application/json" };
    return this.key ? { ...json, authorization: `Bearer ${this.key}` } : json;
  }
}

class ServerReply implements Reply {
  private readonly abort = new AbortController();
  private name: string | null = null;
  private hurried = false; // before the reply had a name

  constructor(
    private readonly request: ReplyRequest,
    private readonly headers: Record<string, string>,
    private readonly onWrongKey: () => void,
  ) {}

  async *events(): AsyncGenerator<ReplyEvent> {
    const { signal } = this.abort;
    const body = JSON.stringify(bodyOf(this.request));
    const response = await reach("/v1/chat/completions", { method: "POST", headers: this.headers, body, signal });
    if (response.status === 401) this.onWrongKey(); // the server was begun anew with another one
    if (!response.ok || response.body === null) throw await refusal(response);
    this.name = response.headers.get("x-thinkport-reply");
    if (this.hurried) void this.answerNow();
    for await (const chunk of framesOf(response.body)) {
      for (const event of eventsOf(chunk as Chunk)) {
        yield event;
        if (event.kind === "end") return;
      }
    }
    throw new Trouble("connection", LOST);
  }

  async answerNow(): Promise<void> {
    this.hurried = this.name === null;
    await this.tell("stop_thinking");
  }

  async stop(): Promise<void> {
    if (this.name === null || !(await this.tell("stop"))) this.abort.abort();
    else setTimeout(() => this.abort.abort(), PATIENCE);
  }

  /** Whether the server took it; one that has ended the reply meanwhile is no failure. */
  private async tell(what: string): Promise<boolean> {
    if (this.name === null) return false;
    const path = `/v1/chat/completions/${encodeURIComponent(this.name)}/${what}`;
    try {
      return (await fetch(path, { method: "POST", headers: this.headers })).ok;
    } catch {
      return false;
    }
  }
}

const LOST = "The connection was lost in the middle of the reply.";

/** The JSON of each server-sent event of a body, in their order. */
export async function* framesOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<unknown> {
  const reader = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error: unknown) => {
        throw isAbort(error) ? error : new Trouble("connection", LOST);
      });
      if (done) return;
      if (value.data !== "[DONE]") yield JSON.parse(value.data);
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Trouble("connection", "The server can't be reached. Is it still running?");
  }
}

async function refusal(response: Response): Promise<Trouble> {
  let text = `The server answered with status ${response.status}.`;
  try {
    const body = (await response.json()) as { error: { message: string } };
    text = body.error.message;
  } catch {
    // no JSON: the status says it
  }
  const wait = response.headers.get("retry-after");
  const kind = response.status === 401 ? "key" : "refused";
  return new Trouble(kind, wait === null ? text : `${text} (in ${wait} s)`);
}

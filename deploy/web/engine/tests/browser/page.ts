/** A page that runs what its test asks for, and puts the outcome where the test finds it. */

import type { Model, ReplyOptions } from "../../src/index.js";
import { openInWorker, type OpenRequest } from "../../src/web/index.js";

/** One reply of its own: a question and how it is answered. */
export interface Asked {
  readonly text: string;
  readonly options: ReplyOptions;
}

const page = globalThis as unknown as Record<string, unknown>;

async function opened(request: OpenRequest): Promise<Model> {
  const worker = new Worker(new URL("../../src/worker/worker.ts", import.meta.url), { type: "module" });
  return openInWorker(worker, request);
}

/** The ids of each reply, and the report of the model. */
page.replies = async (request: OpenRequest, asked: readonly Asked[]): Promise<unknown> => {
  const model = await opened(request);
  const replies: (readonly number[])[] = [];
  for (const { text, options } of asked) replies.push((await model.stream(text, options).end()).ids);
  await model.close();
  return { report: model.report, replies };
};

/** Two turns of a chat, the first answered early, and what the second one found in the KV cache. */
page.turns = async (request: OpenRequest): Promise<unknown> => {
  const model = await opened(request);
  const chat = model.chat({ thinking: true });
  const reply = chat.stream("What is 86*57?", { sampling: { temperature: 0 }, maxTokens: 120 });
  let pieces = 0;
  for await (const event of reply) if (event.type === "thought" && ++pieces === 3) reply.stopThinking();
  const first = await reply.end();
  await chat.settle();
  const second = await chat.stream("And 2+2?", { thinking: false, sampling: { temperature: 0 }, maxTokens: 8 }).end();
  const again = await model.stream("hi", { maxTokens: 0 }).end().then(() => null, (error: unknown) => String(error));
  await model.close();
  const closed = await model.encode([{ role: "user", content: "hi" }]).then(() => null, (error: unknown) => String(error));
  return { report: model.report, first, second, refused: [again, closed].join(" ") };
};
/** The ids of a reply over an artifact that was copied into the browser's file system. */
page.fromFiles = async (request: OpenRequest, files: readonly string[], asked: Asked): Promise<unknown> => {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle("model", { create: true });
  for (const name of files) {
    const file = await folder.getFileHandle(name, { create: true });
    const writing = await file.createWritable();
    await writing.write(await (await fetch(`/model/${name}`)).arrayBuffer());
    await writing.close();
  }
  const model = await opened({ ...request, source: { kind: "opfs", folder: "model" } });
  const end = await model.stream(asked.text, asked.options).end();
  await model.close();
  const weights = await (await folder.getFileHandle("weights.bin")).createWritable({ keepExistingData: true });
  await weights.write({ type: "write", position: 4096, data: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]) });
  await weights.close();
  const damaged = await opened({ ...request, source: { kind: "opfs", folder: "model" } }).then(() => null, (error: unknown) => String(error));
  return { ids: end.ids, damaged };
};
page.ready = true;

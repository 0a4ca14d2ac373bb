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
  return { report: model.report, first, second, refused: again };
};
page.ready = true;

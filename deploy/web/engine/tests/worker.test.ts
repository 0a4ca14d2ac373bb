/** A model behind a message port: the same interface, the same events, and wishes that reach it. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import type { ArtifactSource } from "../src/artifact/source.js";
import { artifactError, ThinkportError } from "../src/errors.js";
import { serve } from "../src/worker/serve.js";
import { openInWorker } from "../src/worker/workerModel.js";
import { manifest } from "./nano.js";

test("what opening throws in the worker is thrown on the page, with its code", async () => {
  const { port1, port2 } = new MessageChannel();
  serve(port1 as never);
  port1.start();
  port2.start();
  const opening = openInWorker(port2 as never, { source: { kind: "http", url: "http://127.0.0.1:9/" }, ort: "file:///no/such/folder" });
  await expect(opening).rejects.toBeInstanceOf(ThinkportError);
  await expect(opening).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(/onnxruntime-web can't be loaded/) as string });
  port1.close();
});

test("an opening that was cancelled does not end the next one with the same worker", async () => {
  const { port1, port2 } = new MessageChannel();
  const opened: MessagePort[] = [];
  port1.addEventListener("message", ({ ports }) => {
    opened.push(ports[0]!);
    if (opened.length < 2) return;
    opened[0]!.postMessage({ code: "cancelled", message: "cancelled" });
    opened[1]!.postMessage({ result: { manifest, report: {}, thinking: {} } });
  });
  port1.start();
  port2.start();
  const request = { source: { kind: "opfs", folder: "nano" }, ort: "ort" } as const;
  const abort = new AbortController();
  const first = openInWorker(port2 as never, request, { signal: abort.signal });
  const ended = expect(first).rejects.toMatchObject({ code: "cancelled" });
  abort.abort();
  const second = openInWorker(port2 as never, request);
  await ended;
  expect((await second).manifest.name).toBe(manifest.name);
  opened.forEach((port) => port.close());
  port1.close();
});

test("a wish before the worker has begun a reply reaches it, and the reply ends as it does there", async () => {
  const events = [{ type: "answer", text: "so far", forced: false, tokens: 2 }, { type: "end", answer: "so far" }];
  const wishes: unknown[] = [];
  const begin = (port: MessagePort): void => {
    port.onmessage = ({ data }) => {
      wishes.push(data);
      if (data === "cancel") for (const told of [...events.map((event) => ({ told: event })), { result: null }]) port.postMessage(told);
    };
  };
  const port = Object.assign(new EventTarget(), {
    postMessage: (_: unknown, [line]: [MessagePort]) => {
      line.onmessage = ({ data, ports }) => void setTimeout(() => data.method === "begin" && begin(ports[0]!));
      line.postMessage({ result: { manifest, report: {}, thinking: {} } });
    },
  });
  const model = await openInWorker(port as never, { source: { kind: "opfs", folder: "nano" }, ort: "ort" });
  const reply = model.stream("hi");
  reply.stopThinking();
  reply.cancel();
  const heard: unknown[] = [];
  for await (const event of reply) heard.push(event);
  expect(wishes).toEqual(["stopThinking", "cancel"]);
  expect(heard).toEqual(events);
});

test("closing lets the worker go of the model, once, and what is asked later is refused", async () => {
  const asked: string[] = [];
  let gone: Promise<unknown> | null = null;
  const port = Object.assign(new EventTarget(), {
    postMessage: (_: unknown, [line]: [MessagePort]) => {
      line.onmessage = ({ data, ports }) => {
        asked.push(data.method);
        ports[0]!.postMessage({ result: [1] });
      };
      gone = new Promise((resolve) => line.addEventListener("close", resolve));
      line.postMessage({ result: { manifest, report: {}, thinking: {} } });
    },
  });
  const model = await openInWorker(port as never, { source: { kind: "opfs", folder: "nano" }, ort: "ort" });
  expect(await model.encode([])).toEqual([1]);
  await Promise.all([model.close(), model.close()]);
  await gone;
  await model.close();
  for (const late of [model.encode([]), model.settle([]), model.stream("hi").end()]) {
    await expect(late).rejects.toMatchObject({ code: "unavailable", message: "the model was closed: open it again" });
  }
  expect(asked).toEqual(["encode", "close"]);
});

test("a worker that failed is asked nothing more", async () => {
  const port = Object.assign(new EventTarget(), {
    postMessage: (_: unknown, [line]: [MessagePort]) => line.postMessage({ result: { manifest, report: {}, thinking: {} } }),
  });
  const model = await openInWorker(port as never, { source: { kind: "opfs", folder: "nano" }, ort: "ort" });
  const waiting = model.encode([]);
  port.dispatchEvent(Object.assign(new Event("error"), { message: "out of memory" }));
  for (const asked of [waiting, model.encode([]), model.stream("hi").end()]) {
    await expect(asked).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(/worker failed \(out of memory\)/) as string });
  }
});

/** A worker whose artifacts can't be read; what is begun and ended of each reading. */
async function twoOpenings(abort?: AbortSignal): Promise<{ told: string[]; ends: string[] }> {
  const ort = mkdtempSync(join(tmpdir(), "ort-"));
  writeFileSync(join(ort, "ort.wasm.min.mjs"), "export const env = { wasm: {}, versions: {} };");
  const told: string[] = [];
  const source = (place: string): ArtifactSource => ({
    place,
    async read() {
      told.push(`${place} begins`);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      told.push(`${place} ends`);
      throw artifactError(`${place} is none`);
    },
  });
  const { port1, port2 } = new MessageChannel();
  serve(port1 as never, (request) => source(request.kind === "opfs" ? request.folder : ""));
  port1.start();
  port2.start();
  const opening = (folder: string, signal?: AbortSignal): Promise<string> =>
    openInWorker(port2 as never, { source: { kind: "opfs", folder }, ort: pathToFileURL(ort).href, provider: "wasm" }, signal ? { signal } : {}).then(
      () => "opened",
      (error: Error) => error.message,
    );
  const ends = await Promise.all([opening("one"), opening("two", abort)]);
  port1.close();
  rmSync(ort, { recursive: true });
  return { told, ends };
}

test("two openings go one after the other", async () => {
  const { told, ends } = await twoOpenings();
  expect(told).toEqual(["one begins", "one ends", "two begins", "two ends"]);
  expect(ends).toEqual(["one is none", "two is none"]);
});

test("an opening that is cancelled while it waits reads nothing", async () => {
  const { told, ends } = await twoOpenings(AbortSignal.abort());
  expect(told).toEqual(["one begins", "one ends"]);
  expect(ends[1]).toMatch(/was cancelled/);
});

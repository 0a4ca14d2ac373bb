/** An artifact over onnxruntime-node: `THINKPORT_ARTIFACT` is its folder. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { OrtLane } from "../src/engine/ortLane.js";
import type { Loading } from "../src/engine/runtime.js";
import { MemoryStore } from "../src/artifact/store.js";
import { FolderSource, NodeRuntime, openFolder, openModel, type ReplyEvent } from "../src/node/index.js";

const folder = process.env.THINKPORT_ARTIFACT ?? "";
const made: string[] = [];
const greedy = { sampling: { temperature: 0 } } as const;

function copy(): string {
  const place = mkdtempSync(join(tmpdir(), "artifact-"));
  made.push(place);
  cpSync(folder, place, { recursive: true });
  return place;
}

afterAll(() => made.forEach((place) => rmSync(place, { recursive: true })));

describe.skipIf(!folder)("an artifact in Node (skipped without THINKPORT_ARTIFACT)", () => {
  test("it answers, and a second turn runs only what is new", async () => {
    const model = await openFolder(folder, { store: new MemoryStore() });
    expect(model.report.provider).toBe("cpu");
    expect(model.report.goldens!.correlation).toBeGreaterThan(0.9);
    const chat = model.chat();
    const first = await chat.stream("What is 86*57?", { thinking: true, maxTokens: 200, ...greedy }).end();
    expect(first.thought.length).toBeGreaterThan(0);
    expect(chat.messages.map((message) => message.role)).toEqual(["user", "assistant"]);
    await chat.settle();
    const second = await chat.stream("And 2+2?", { thinking: false, maxTokens: 16, ...greedy }).end();
    // All of the history but the thought, which the template drops, is there already.
    expect(second.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens + first.answering.tokens);
    expect(second.promptTokens - second.cachedTokens).toBeLessThan(25);
    await model.close();
  });

  test("what is rewound and what grows gives the same ids as a fresh model", async () => {
    const model = await openFolder(folder, { store: new MemoryStore() });
    const chat = model.chat({ thinking: false });
    await chat.stream("Say something long.", { maxTokens: 300, ...greedy }).end(); // past the first capacity
    const messages = [...chat.messages, { role: "user", content: "What is 2+2?" } as const];
    const warm = await model.stream(messages, { thinking: true, maxTokens: 40, ...greedy }).end();
    expect(warm.cachedTokens).toBeGreaterThan(0);
    await model.close();
    const fresh = await openFolder(folder, { store: new MemoryStore() });
    const cold = await fresh.stream(messages, { thinking: true, maxTokens: 40, ...greedy }).end();
    expect(cold.cachedTokens).toBe(0);
    expect(cold.answer + cold.thought).toBe(warm.answer + warm.thought);
    await fresh.close();
  });

  test("the verdict on the goldens is kept, and a wrong graph is left out", async () => {
    const store = new MemoryStore();
    const first = await openFolder(folder, { store });
    const second = await openFolder(folder, { store });
    expect([first.report.goldens!.kept, second.report.goldens!.kept]).toEqual([false, true]);
    expect(second.report.goldens!.correlation).toBe(first.report.goldens!.correlation);
    await Promise.all([first.close(), second.close()]);
  });

  test("a damaged file is refused by name", async () => {
    const place = copy();
    const weights = readFileSync(join(place, "weights.bin"));
    weights[weights.length >> 1]! ^= 1;
    writeFileSync(join(place, "weights.bin"), weights);
    await expect(openFolder(place, { store: new MemoryStore() })).rejects.toThrow(/weights\.bin does not have the recorded sha256/);
  });

  test("a file that is missing or cut is refused by name", async () => {
    const place = copy();
    writeFileSync(join(place, "tokenizer.json"), "{}");
    await expect(openFolder(place)).rejects.toThrow(/tokenizer\.json has 2 bytes, expected/);
    rmSync(join(place, "tokenizer.json"));
    await expect(openFolder(place)).rejects.toThrow(/tokenizer\.json can't be read/);
    await expect(openFolder(join(place, "nowhere"))).rejects.toThrow(/thinkport\.json can't be read .*`thinkport export`/);
  });

  test("opening can be cancelled", async () => {
    const abort = new AbortController();
    const onProgress = (): void => abort.abort();
    await expect(openFolder(folder, { store: new MemoryStore(), signal: abort.signal, onProgress })).rejects.toMatchObject({ code: "cancelled" });
  });

  test("a graph is taken by name, and an unknown one refused with the names", async () => {
    const model = await openFolder(folder, { graph: "cpu-float32-kv.onnx" });
    expect([model.report.graph, model.report.kv]).toEqual(["cpu-float32-kv.onnx", "float32"]);
    await model.close();
    await expect(openFolder(folder, { graph: "no.onnx" })).rejects.toThrow(/no graph no\.onnx .*expected one of: cpu\.onnx/);
  });

  test("a graph whose wide products are cut gives the same reply", async () => {
    let cut = 0;
    class Narrow extends NodeRuntime {
      override load(loading: Loading): Promise<OrtLane> {
        const onnx = loading.onnx.withNarrowProducts(20_000);
        cut = onnx.external.length - loading.onnx.external.length;
        return super.load({ ...loading, onnx });
      }
    }
    const ort = (await import("onnxruntime-node")) as never;
    const said = await Promise.all([new NodeRuntime(ort), new Narrow(ort)].map(async (runtime) => {
      const model = await openModel({ source: new FolderSource(folder), runtimes: [runtime], store: new MemoryStore() });
      const end = await model.stream("What is 86*57?", { thinking: true, maxTokens: 200, ...greedy }).end();
      await model.close();
      return { text: [end.thought, end.answer], correlation: model.report.goldens!.correlation };
    }));
    expect(cut).toBeGreaterThan(50);
    expect(said[1]!.text).toEqual(said[0]!.text);
    expect(said[1]!.correlation).toBeCloseTo(said[0]!.correlation, 5);
  });

  test("a reply ends where its reader leaves, and the next one runs", async () => {
    const model = await openFolder(folder);
    for await (const event of model.stream("Count.", { maxTokens: 50 }) as AsyncIterable<ReplyEvent>) {
      expect(event.type).not.toBe("end");
      break;
    }
    expect((await model.stream("Count.", { maxTokens: 5 }).end()).answerEnd).toBe("length");
    await model.close();
    expect(() => model.stream("hi")).toThrow(/the model was closed/);
  });

  test("the context ends where it was asked to", async () => {
    const runtimes = [new NodeRuntime((await import("onnxruntime-node")) as never, 1)];
    const model = await openModel({ source: new FolderSource(folder), runtimes, contextLength: 64 });
    const end = await model.stream("Count to a hundred.", { thinking: false, ...greedy }).end();
    expect(end.promptTokens + end.ids.length).toBeLessThanOrEqual(64);
    expect(() => model.stream("word ".repeat(100))).not.toThrow();
    await expect(model.stream("word ".repeat(100)).end()).rejects.toMatchObject({ code: "context" });
    await model.close();
  });
});

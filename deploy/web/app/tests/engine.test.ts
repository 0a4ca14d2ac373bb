import type { Model, Reply as EngineReply, ReplyEvent as EngineEvent, ReplyOptions } from "@thinkport/engine";
import { expect, it } from "vitest";
import { EngineTransport } from "../src/transport/engine";
import { LiveSpeed } from "../src/transport/live_speed";
import type { ReplyEvent } from "../src/transport/transport";

const SPEED = { tokens: 2, seconds: 1, perSecond: 2 };
const END = {
  type: "end", thought: "hm", answer: "4", toolCalls: [], thinkingEnd: "budget", answerEnd: "stop", enabled: "on", decidedBy: "call",
  promptTokens: 9, cachedTokens: 3, forcedTokens: 0, prefill: SPEED, thinking: SPEED, answering: SPEED,
} as unknown as EngineEvent;

/** A model that replies what it is given, and notes what it was asked. */
class FakeModel {
  readonly asked: unknown[] = [];
  readonly told: string[] = [];
  readonly thinking = { enabled: null, budget: 64 };
  readonly manifest = { thinking: { start: 1, end: 2 }, enable_thinking: true, model: { context_length: 8192 }, sampling: {} };
  readonly report = { provider: "wasm", graph: "cpu.onnx", threads: 4, contextLength: 2048, graphs: [{ file: "cpu.onnx", taken: true, reason: "right" }] };

  constructor(private readonly events: EngineEvent[] | Error) {}

  stream(messages: unknown, options: ReplyOptions): EngineReply {
    this.asked.push(messages, options);
    const { events, told } = this;
    return {
      stopThinking: () => told.push("stopThinking"),
      cancel: () => told.push("cancel"),
      async *[Symbol.asyncIterator]() {
        if (events instanceof Error) throw events;
        yield* events;
      },
    } as unknown as EngineReply;
  }
}

function transportOf(model: FakeModel): EngineTransport {
  return new EngineTransport("nano", Promise.resolve(model as unknown as Model));
}

async function all(events: AsyncIterable<ReplyEvent>): Promise<ReplyEvent[]> {
  const found: ReplyEvent[] = [];
  for await (const one of events) found.push(one);
  return found;
}

it("a reply of the engine is told as one of the server is", async () => {
  const pieces: EngineEvent[] = [
    { type: "thought", text: "hm", forced: false, tokens: 1 },
    { type: "answer", text: "4", forced: false, tokens: 1 },
    { type: "answer", text: "", forced: false, tokens: 2 },
    END,
  ];
  const model = new FakeModel(pieces);
  const reply = transportOf(model).reply({
    messages: [{ role: "user", content: "2+2" }],
    thinking: { on: true, budget: 16 },
    sampling: { temperature: 0.5, seed: 3, max_tokens: 40 },
  });
  expect((await all(reply.events())).map((one) => one.kind)).toEqual(["thought", "answer", "end"]);
  expect(model.asked).toEqual([
    [{ role: "user", content: "2+2" }],
    { thinking: { enabled: "on", budget: 16 }, sampling: { temperature: 0.5 }, seed: 3, maxTokens: 40 },
  ]);
});

it("without a choice nothing is said of thinking, and off has no budget", async () => {
  const model = new FakeModel([END]);
  const ask = (thinking: { on: boolean; budget: number | null } | null) =>
    all(transportOf(model).reply({ messages: [], thinking, sampling: {} }).events());
  const [end] = await ask(null);
  await ask({ on: false, budget: 16 });
  const nothing = { sampling: {}, seed: null, maxTokens: null };
  expect(model.asked[1]).toEqual({ ...nothing, thinking: null });
  expect(model.asked[3]).toEqual({ ...nothing, thinking: { enabled: "off", budget: null } });
  expect(end).toMatchObject({ kind: "end", thinkingEnd: "budget", figures: { prompt: 9, cached: 3, thought: { tokens: 2 } } });
});

it("a reply that was stopped before it began is cancelled when it does", async () => {
  const model = new FakeModel([END]);
  const reply = transportOf(model).reply({ messages: [], thinking: null, sampling: {} });
  await reply.stop();
  await all(reply.events());
  await reply.answerNow();
  expect(model.told).toEqual(["cancel", "stopThinking"]);
});

it("what the engine refuses is told in its words, and a fault stays one", async () => {
  const refused = Object.assign(new Error("the prompt is too long"), { name: "ThinkportError" });
  const asked = { messages: [], thinking: null, sampling: {} };
  await expect(all(transportOf(new FakeModel(refused)).reply(asked).events())).rejects.toMatchObject({ kind: "refused" });
  await expect(all(transportOf(new FakeModel(new TypeError("x"))).reply(asked).events())).rejects.toBeInstanceOf(TypeError);
});

it("says what runs and how it thinks", async () => {
  const about = await transportOf(new FakeModel([])).about();
  expect(about).toMatchObject({
    model: "nano", canThink: true, context: 2048, thinking: { on: true, budget: 64 }, runsOn: "wasm · cpu.onnx",
    reason: "cpu.onnx runs on wasm, 4 threads", keyNeeded: false,
  });
});

it("a part's speed counts from its own first piece", () => {
  let now = 0;
  const live = new LiveSpeed(() => now);
  const steps: [number, string, number][] = [[1000, "thought", 1], [2000, "thought", 11], [5000, "answer", 1], [5500, "answer", 2]];
  const speeds = steps.map(([at, part, tokens]) => ((now = at), live.of(part, tokens).perSecond));
  expect(speeds).toEqual([null, 10, null, 2]);
});

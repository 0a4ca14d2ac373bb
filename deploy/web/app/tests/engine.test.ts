import type { Model, Reply as EngineReply, ReplyEvent as EngineEvent, ReplyOptions } from "@thinkport/engine";
import { expect, it } from "vitest";
import { Connection } from "../src/transport/connection";
import { EngineTransport, LiveSpeed } from "../src/transport/engine";
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
  readonly manifest = { thinking: { start: 1, end: 2 }, enable_thinking: true, model: { context_length: 2048 }, sampling: {} };
  readonly report = { provider: "wasm", graph: "cpu.onnx", threads: 4, contextLength: 1024, graphs: [{ file: "cpu.onnx", taken: true, reason: "right" }] };

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
    { thinking: { enabled: "on", budget: 16 }, sampling: { temperature: 0.5 }, seed: 3, maxTokens: 40, settle: true },
  ]);
});

it("without a choice nothing is said of thinking, and off has no budget", async () => {
  const model = new FakeModel([END]);
  const ask = (thinking: { on: boolean; budget: number | null } | null) =>
    all(transportOf(model).reply({ messages: [], thinking, sampling: {} }).events());
  const [end] = await ask(null);
  await ask({ on: false, budget: 16 });
  const nothing = { sampling: {}, seed: null, maxTokens: null, settle: true };
  expect(model.asked[1]).toEqual({ ...nothing, thinking: null });
  expect(model.asked[3]).toEqual({ ...nothing, thinking: { enabled: "off", budget: null } });
  expect(end).toMatchObject({ kind: "end", thinkingEnd: "budget", figures: { prompt: 9, cached: 3, thought: { tokens: 2 } } });
});

const ASKED = { messages: [], thinking: null, sampling: {} };

it("an answer that is wanted while the model loads is wanted once the reply begins", async () => {
  const model = new FakeModel([END]);
  let load: (model: Model) => void = () => undefined;
  const reply = new EngineTransport("nano", new Promise((resolve) => (load = resolve))).reply(ASKED);
  const events = all(reply.events());
  await reply.answerNow();
  load(model as unknown as Model);
  expect(await events).toHaveLength(1);
  expect(model.told).toEqual(["stopThinking"]);
});

it("a reply that is stopped while the model loads ends at once and never begins", async () => {
  const reply = new EngineTransport("nano", new Promise(() => undefined)).reply(ASKED);
  const events = all(reply.events());
  await reply.stop();
  expect(await events).toEqual([]);
});

it("replies come one after the other, and one that is stopped before its turn is passed over", async () => {
  const model = new FakeModel([END]);
  const transport = transportOf(model);
  const asked = (content: string) => transport.reply({ ...ASKED, messages: [{ role: "user", content }] });
  const first = asked("one").events()[Symbol.asyncIterator]();
  await first.next();
  const waiting = asked("two");
  const stopped = all(waiting.events());
  const third = all(asked("three").events());
  await waiting.stop();
  expect(await stopped).toEqual([]);
  expect(model.asked).toHaveLength(2);
  await first.return!();
  expect(await third).toHaveLength(1);
  expect(model.asked.filter(Array.isArray)).toEqual([[{ role: "user", content: "one" }], [{ role: "user", content: "three" }]]);
});

it("wishes reach a reply that runs", async () => {
  const model = new FakeModel([END]);
  const reply = transportOf(model).reply(ASKED);
  await all(reply.events());
  await reply.answerNow();
  await reply.stop();
  expect(model.told).toEqual(["stopThinking", "cancel"]);
});

it("what the engine refuses is told in its words, and a fault stays one", async () => {
  const refused = Object.assign(new Error("the prompt is too long"), { name: "ThinkportError" });
  await expect(all(transportOf(new FakeModel(refused)).reply(ASKED).events())).rejects.toMatchObject({ kind: "refused" });
  await expect(all(transportOf(new FakeModel(new TypeError("x"))).reply(ASKED).events())).rejects.toBeInstanceOf(TypeError);
});

it("says what runs and how it thinks", async () => {
  const about = await transportOf(new FakeModel([])).about();
  expect(about).toMatchObject({
    model: "nano", canThink: true, context: 1024, thinking: { on: true, budget: 64 }, runsOn: "wasm · cpu.onnx",
    reason: "cpu.onnx runs on wasm, 4 threads", keyNeeded: false,
  });
});

it("a model that can't be opened is told in the engine's words", async () => {
  const refused = Object.assign(new Error("nothing runs here"), { name: "ThinkportError" });
  const connection = new Connection(new EngineTransport("nano", Promise.reject(refused)));
  await connection.ask();
  expect([connection.state.value, connection.problem.value]).toEqual(["refused", "nothing runs here"]);
});

it("a part's speed counts from its own first piece", () => {
  let now = 0;
  const live = new LiveSpeed(() => now);
  const steps: [number, string, number][] = [[1000, "thought", 1], [2000, "thought", 11], [5000, "answer", 1], [5500, "answer", 2]];
  const speeds = steps.map(([at, part, tokens]) => ((now = at), live.of(part, tokens).perSecond));
  expect(speeds).toEqual([null, 10, null, 2]);
});

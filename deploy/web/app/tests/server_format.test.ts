import { describe, expect, it } from "vitest";
import { framesOf } from "../src/transport/server";
import { bodyOf, eventsOf, type Chunk } from "../src/transport/server_format";
import { inWords, Trouble } from "../src/transport/trouble";

function bodyWith(...parts: Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

async function all(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const one of stream) found.push(one);
  return found;
}

it("frames are whole wherever the network cuts them, in the middle of a character too", async () => {
  const bytes = new TextEncoder().encode(': still here\n\ndata: {"a":"é🙂"}\r\n\r\ndata: {"b":1}\n\ndata: [DONE]\n\n');
  for (let at = 1; at < bytes.length; at++) {
    expect(await all(framesOf(bodyWith(bytes.slice(0, at), bytes.slice(at))))).toEqual([{ a: "é🙂" }, { b: 1 }]);
  }
});

it("a stream that breaks is a lost connection, and one that can't be read is a fault", async () => {
  const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({ pull: (controller) => controller.error(new TypeError("network")) });
  await expect(all(framesOf(broken))).rejects.toMatchObject({ kind: "connection" });
  const garbled = all(framesOf(bodyWith(new TextEncoder().encode("data: {oops\n\n"))));
  await expect(garbled).rejects.toBeInstanceOf(SyntaxError);
  expect(inWords(new SyntaxError("x"))).toContain("The page has a fault");
  expect(inWords(new Trouble("refused", "too long"))).toBe("too long");
});

describe("a request", () => {
  const said = { messages: [], sampling: { temperature: 0.5 } };
  it.each([
    [null, {}],
    [{ on: false, budget: 100 }, { enable_thinking: false }],
    [{ on: true, budget: 0 }, { enable_thinking: true, thinking_token_budget: 0 }],
    [{ on: true, budget: null }, { reasoning_effort: "max" }],
    [{ on: true, budget: null, width: 1 }, { reasoning_effort: "max", thinking_width: 1 }],
    [{ on: true, budget: 9, width: 4 }, { enable_thinking: true, thinking_token_budget: 9, thinking_width: 4, thinking_choose: "vote" }],
    [{ on: false, budget: null, width: 4 }, { enable_thinking: false }],
  ])("with the choice %j says %j", (thinking, expected) => {
    expect(bodyOf({ ...said, thinking })).toEqual({
      messages: [], stream: true, timings_per_token: true, temperature: 0.5, ...expected,
    });
  });
});

describe("a chunk", () => {
  it("tells a piece with its speed", () => {
    const chunk: Chunk = { choices: [{ delta: { reasoning_content: "hm" }, finish_reason: null }], timings: { thinking_n: 3, thinking_per_second: 12.5 } };
    expect(eventsOf(chunk)).toEqual([{ kind: "thought", text: "hm", speed: { tokens: 3, perSecond: 12.5 } }]);
  });

  it("tells the end with what everything cost", () => {
    const thinking = { end: "budget", answer_end: "stop", tokens: 7 };
    const timings = { cache_n: 4, prompt_n: 6, thinking_n: 6, thinking_per_second: 2, predicted_n: 5, predicted_per_second: 1 };
    expect(eventsOf({ choices: [{ delta: {}, finish_reason: "stop", thinking }], timings })).toEqual([
      {
        kind: "end", thinkingEnd: "budget", answerEnd: "stop",
        figures: { prompt: 10, cached: 4, thought: { tokens: 7, perSecond: 2 }, answer: { tokens: 5, perSecond: 1 } },
      },
    ]);
  });

  it("tells how far several thoughts have come, and how one was chosen", () => {
    const progress = { tokens: [3, 4], ended: 1 };
    expect(eventsOf({ choices: [{ delta: {}, finish_reason: null, thinking: progress }] })).toEqual([{ kind: "thoughts", progress }]);
    const parallel = { reason: "2 of 2 answers agree", others: [{ thought: "hm", tokens: 9, answer: "4" }] };
    const thinking = { end: "natural", answer_end: "stop", tokens: 7, parallel };
    expect(eventsOf({ choices: [{ delta: {}, finish_reason: "stop", thinking }] })).toMatchObject([{ kind: "end", parallel }]);
  });

  it("that is an error is refused in the server's words", () => {
    expect(() => eventsOf({ error: { message: "the device was lost" } })).toThrow("the device was lost");
  });

  it("without a choice tells nothing", () => expect(eventsOf({ choices: [] })).toEqual([]));
});

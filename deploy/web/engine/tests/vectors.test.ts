/** What the Python runtime wrote down, held against this engine: `python -m tests.web.vectors` writes it. */

import { describe, expect, test } from "vitest";
import type { SamplingPreset } from "../src/artifact/manifest.js";
import { candidates, draw, penalizeRepetition, Sampler } from "../src/engine/sampling.js";
import { ThinkportError } from "../src/errors.js";
import type { Finish, ReplyEvent } from "../src/events.js";
import { checked, type Message, type Tool } from "../src/prompt/message.js";
import { PromptEncoder } from "../src/prompt/promptEncoder.js";
import { ReplyMemory } from "../src/prompt/replyMemory.js";
import { Detokenizer } from "../src/prompt/tokenizer.js";
import { ToolCallSplitter } from "../src/reply/replySplitter.js";
import { asThinking, decide, opening, THINKING, type ThinkingAsked } from "../src/thinking/thinking.js";
import { LoopDetector } from "../src/thinking/thoughtLoops.js";
import { messageCalls, readCall, ToolBox } from "../src/tools/toolCalls.js";
import { manifest, modelOver, type Row, ScriptedLane, template, tokenizer, vectors } from "./nano.js";

interface Prompt {
  readonly messages: Message[];
  readonly tools: Tool[] | null;
  readonly enable_thinking: boolean | null;
  readonly ids?: number[];
  readonly history?: number[];
  readonly opening?: string;
  readonly refused?: boolean;
}

describe("prompts", () => {
  test.each(vectors<Prompt>("prompts").map((one, at) => [at, one] as const))("prompt %i has Python's ids", (_, one) => {
    const encoder = new PromptEncoder(tokenizer, template, new ReplyMemory());
    const options = { tools: one.tools, enableThinking: one.enable_thinking };
    if (one.refused) {
      expect(() => encoder.history(one.messages, options)).toThrow(ThinkportError);
      return;
    }
    const ids = encoder.encode(one.messages, options);
    expect(tokenizer.decode(ids)).toBe(tokenizer.decode(one.ids!));
    expect(ids).toEqual(one.ids);
    expect(encoder.history(one.messages, options)).toEqual(one.history);
    expect(opening(ids, manifest.thinking, tokenizer)).toBe(one.opening);
  });
});

interface Switched {
  readonly text: string;
  readonly call: ThinkingAsked | null;
  readonly chat: ThinkingAsked | null;
  readonly manifest: boolean | null;
  readonly enabled: string;
  readonly by: string;
  readonly hard: boolean | null;
}

test("thinking is switched as in Python", () => {
  for (const one of vectors<Switched>("switches")) {
    const said: Message[] = [{ role: "system", content: "/no_think" }, { role: "user", content: one.text }];
    const messages = checked(one.text === "hi" ? said.slice(1) : said);
    const asked = { call: asThinking(one.call, THINKING), chat: asThinking(one.chat, THINKING), model: null };
    const { enabled, by, hard } = decide(messages, asked, one.manifest);
    expect({ enabled, by, hard }, JSON.stringify(one)).toEqual({ enabled: one.enabled, by: one.by, hard: one.hard });
  }
});

interface Scripted {
  readonly name: string;
  readonly script: Row[];
  readonly text?: string;
  readonly thinking?: boolean | Record<string, unknown>;
  readonly enable_thinking?: boolean;
  readonly max_tokens?: number;
  readonly context_length?: number;
  readonly tools?: Tool[];
  readonly stop_thinking_after?: number;
  readonly cancel_after?: number;
  readonly events: Record<string, unknown>[];
}

const CAMEL: Readonly<Record<string, string>> = {
  soft_from: "softFrom", soft_lift: "softLift", answer_reserve: "answerReserve", stop_loops: "stopLoops",
};

function asked(thinking: Scripted["thinking"]): ThinkingAsked | null {
  if (typeof thinking !== "object") return thinking ?? null;
  return Object.fromEntries(Object.entries(thinking).map(([name, value]) => [CAMEL[name] ?? name, value]));
}

function asData(event: ReplyEvent): Record<string, unknown> {
  if (event.type === "tool_call") {
    return { type: event.type, name: event.name, args: event.args, text: event.text, wrong: event.problem !== null };
  }
  if (event.type === "thought_end") return { type: event.type, reason: event.reason, tokens: event.thinking.tokens };
  if (event.type !== "end") return { ...event };
  const { toolCalls, prefill: _, ids: __, thinking, answering, ...others } = event;
  return { ...others, toolCalls: toolCalls.length, thinkingTokens: thinking.tokens, answerTokens: answering.tokens };
}

describe("replies", () => {
  test.each(vectors<Scripted>("replies").map((one) => [one.name, one] as const))("%s", async (_, one) => {
    const lane = new ScriptedLane([...one.script], one.context_length);
    const model = modelOver(lane, { enable_thinking: one.enable_thinking ?? null });
    const reply = model.stream(one.text ?? "What is 2+2?", {
      sampling: { temperature: 0 },
      maxTokens: one.max_tokens ?? null,
      thinking: asked(one.thinking),
      tools: one.tools ?? null,
    });
    const events: Record<string, unknown>[] = [];
    for await (const event of reply) {
      events.push(asData(event));
      if (events.length === one.stop_thinking_after) reply.stopThinking();
      if (events.length === one.cancel_after) reply.cancel();
    }
    expect(events).toEqual(one.events);
  });
});

interface Split {
  readonly name: string;
  readonly ids: number[];
  readonly finish: Finish;
  readonly tools: boolean;
  readonly pieces: unknown[];
}

test("answers are split from calls as in Python", () => {
  for (const one of vectors<Split>("splits")) {
    const splitter = new ToolCallSplitter(tokenizer, new ToolBox(one.tools ? [{ name: "look_up" }] : []));
    const pieces = [...one.ids.flatMap((id) => splitter.feed(id)), ...splitter.flush(one.finish)];
    const found = pieces.map((piece) => {
      if (typeof piece === "string") return piece;
      return { name: piece.name, args: piece.args, text: piece.text, wrong: piece.problem !== null };
    });
    expect(found, `${one.name}, ${one.finish}`).toEqual(one.pieces);
  }
});

test("text comes in Python's pieces", () => {
  for (const { ids, sound, pieces } of vectors<{ ids: number[]; sound: boolean; pieces: string[] }>("texts")) {
    const detokenizer = new Detokenizer(tokenizer);
    const found = [...ids.map((id) => detokenizer.feed(id)), detokenizer.flush()];
    expect(found.join("")).toBe(pieces.join(""));
    if (sound) expect(found).toEqual(pieces);
  }
});

interface Sample {
  readonly logits: number[];
  readonly settings: SamplingPreset;
  readonly prompt: number[];
  readonly generated: number[];
  readonly random: number;
  readonly candidates: number[] | null;
  readonly id: number;
}

test("the same random number draws Python's id", () => {
  for (const one of vectors<Sample>("samples")) {
    const { settings, prompt, generated } = one;
    const sampler = new Sampler(settings, () => one.random);
    sampler.start(prompt);
    generated.forEach((id) => sampler.accept(id));
    expect(sampler.draw(Float32Array.from(one.logits)), JSON.stringify(one)).toBe(one.id);
    if (!one.candidates) continue;
    const row = Float32Array.from(one.logits);
    penalizeRepetition(row, new Set([...prompt, ...generated]), settings.repetition_penalty);
    for (const id of new Set(generated)) row[id]! -= settings.presence_penalty;
    expect(candidates(row, settings).ids).toEqual(one.candidates);
    expect(draw(row, settings, () => one.random)).toBe(one.id);
  }
});

interface Call {
  readonly name: string;
  readonly args: unknown;
  readonly text: string;
  readonly wrong: boolean;
  readonly history: { name: string; arguments: unknown };
}

test("tool calls are read as in Python", () => {
  for (const one of vectors<Call>("calls")) {
    const call = readCall(one.text);
    const found = { name: call.name, args: call.args, wrong: call.problem !== null, history: messageCalls([call])[0]!.function };
    expect(found, one.text).toEqual({ name: one.name, args: one.args, wrong: one.wrong, history: one.history });
  }
});

test("loops are found at Python's token", () => {
  for (const { ids, found } of vectors<{ ids: number[]; found: number | null }>("loops")) {
    const detokenizer = new Detokenizer(tokenizer);
    const detector = new LoopDetector((id) => detokenizer.feed(id));
    const at = ids.findIndex((id) => detector.feed(id));
    expect(at < 0 ? null : at).toBe(found);
  }
});

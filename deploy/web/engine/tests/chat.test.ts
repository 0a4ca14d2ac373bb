/** Conversations over a script: what joins the history, and what ends whom. */

import { expect, test } from "vitest";
import type { ToolCall } from "../src/events.js";
import { modelOver, type Row, ScriptedLane, tokenizer } from "./nano.js";

const END = "<|im_end|>";
const says = (...replies: string[]): Row[] => replies.flatMap((reply) => tokenizer.encode(reply + END));
const quiet = { settle: false } as const;

test("a reply joins the history at its end", async () => {
  const chat = modelOver(new ScriptedLane(says("Hello!"))).chat({ system: "Be brief.", ...quiet });
  const reply = chat.stream("hi", { thinking: false });
  expect(chat.messages).toHaveLength(1);
  for await (const event of reply) if (event.type === "end") expect(chat.messages).toHaveLength(3);
  expect(chat.messages.at(-1)).toEqual({ role: "assistant", content: "Hello!" });
});

test("a new conversation during an answer keeps the old reply out", async () => {
  const chat = modelOver(new ScriptedLane(says("Hello!"))).chat(quiet);
  const reply = chat.stream("hi", { thinking: false })[Symbol.asyncIterator]();
  await reply.next();
  chat.messages = [];
  while (!(await reply.next()).done);
  expect(chat.messages).toEqual([]);
});

test("a reply that is left or abandoned leaves the history as it was", async () => {
  const chat = modelOver(new ScriptedLane(says("Hello!", "Again."))).chat(quiet);
  for await (const _ of chat.stream("hi", { thinking: false })) break;
  const reply = chat.stream("hi", { thinking: false });
  reply.abandon();
  await expect(reply.end()).rejects.toThrow(/abandoned/);
  expect(chat.messages).toEqual([]);
});

test("a turn that begins ends the one before", async () => {
  const model = modelOver(new ScriptedLane(says("Hello!", "Again.")));
  const first = model.stream("one", { thinking: false })[Symbol.asyncIterator]();
  await first.next();
  const second = model.stream("two", { thinking: false })[Symbol.asyncIterator]();
  await second.next();
  await expect(first.next()).rejects.toThrow(/another reply was begun/);
});

test("tools are called and answered, and the next prompt has the calls", async () => {
  const call = '<tool_call>\n{"name": "look_up", "arguments": {"q": "x"}}\n</tool_call>';
  const lane = new ScriptedLane(says(call, "Found."));
  const chat = modelOver(lane).chat({ thinking: false, tools: [{ name: "look_up", parameters: {} }], ...quiet });
  const end = await chat.stream("look").end();
  const [made] = end.toolCalls as [ToolCall];
  expect(made.args).toEqual({ q: "x" });
  expect(() => chat.streamResults([])).toThrow(/0 results for the calls/);
  expect(() => chat.streamResults([3 as never])).toThrow(/is number, expected a text/);
  const after = await chat.streamResults({ [made.id]: "it is there" }).end();
  expect(after.answer).toBe("Found.");
  expect(chat.messages.map((message) => message.role)).toEqual(["user", "assistant", "tool", "assistant"]);
  expect(after.cachedTokens).toBeGreaterThan(end.promptTokens - 8); // the empty thought is not in the history
});

test("retry replaces the last reply, and undo takes a turn back", async () => {
  const chat = modelOver(new ScriptedLane(says("one", "two"))).chat({ thinking: false, ...quiet });
  await chat.stream("hi").end();
  await chat.retry().end();
  expect(chat.messages.map((message) => message.content)).toEqual(["hi", "two"]);
  expect(chat.undo()).toBe("hi");
  expect(chat.messages).toEqual([]);
  expect(() => chat.retry()).toThrow(/nothing to reply to/);
});

test("a settled chat pays for the new question alone, its thought dropped", async () => {
  const lane = new ScriptedLane([...says("\nHm. Two.</think>\n\nIt is 2."), 0, ...says("4")]);
  const chat = modelOver(lane).chat({ thinking: true });
  const first = await chat.stream("one and one?").end();
  await chat.settle();
  const second = await chat.stream("two and two?", { thinking: false }).end();
  expect(first.thought).toBe("Hm. Two.");
  const question = tokenizer.encode("two and two?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n");
  expect(second.promptTokens - second.cachedTokens).toBeLessThanOrEqual(question.length);
});

test("what can't be run is refused in words", () => {
  const model = modelOver(new ScriptedLane([]));
  expect(() => model.stream([])).toThrow(/there are no messages/);
  expect(() => model.stream([{ role: "robot" as never, content: "" }])).toThrow(/role is "robot", expected one of/);
  expect(() => model.stream([{ role: "user", content: 3 as never }])).toThrow(/content of a user message is 3/);
  expect(() => model.stream("hi", { sampling: { top_p: 2 } })).toThrow(/top_p is 2, expected above 0 and up to 1/);
  expect(() => model.stream("hi", { sampling: { warmth: 2 } as never })).toThrow(/unknown sampling setting warmth/);
  expect(() => model.stream("hi", { thinking: { budget: -1 } })).toThrow(/budget is -1, expected 0 tokens or more/);
  expect(() => model.stream("hi", { thinking: { bugdet: 1 } as never })).toThrow(/no setting bugdet/);
  expect(() => model.stream("hi", { tools: [{}] })).toThrow(/tool 0 has the name undefined/);
  expect(() => modelOver(new ScriptedLane([]), { thinking: null }).stream("hi", { thinking: true })).toThrow(/can't think/);
});

test("what is no list of messages is refused wherever a prompt is made", async () => {
  const model = modelOver(new ScriptedLane([]));
  for (const asked of [model.encode(null as never), model.settle(null as never)]) {
    await expect(asked).rejects.toMatchObject({ code: "input", message: "the messages are object, expected a list of messages" });
  }
});

import { describe, expect, it } from "vitest";
import {
  adding, afterReload, isReadable, newConversation, newMessage, pathOf, replacing, saidUpTo, showing, versionsOf, without, type Conversation,
} from "../src/conversation/conversation";
import { asMarkdown, fileName } from "../src/conversation/export";
import { found } from "../src/conversation/library";

function talkOf(...texts: string[]): Conversation {
  return texts.reduce((conversation, text, at) => {
    const message = { ...newMessage(at % 2 ? "assistant" : "user", conversation.leaf, text), state: "done" as const };
    return adding(conversation, message);
  }, newConversation());
}

const texts = (conversation: Conversation): string[] => pathOf(conversation).map((one) => one.text);

describe("a conversation", () => {
  it("is read from a store only if it is one that can be shown", () => {
    const whole = talkOf("first", "one", "second");
    const [first, ...rest] = whole.messages;
    expect(isReadable(whole)).toBe(true);
    const odd = [null, undefined, {}, { ...whole, messages: null }, { ...whole, title: 3 }, { ...whole, messages: [null] }, { ...whole, messages: rest }];
    const circle = { ...whole, messages: [{ ...first, parent: first!.id }, ...rest] };
    const twice = { ...whole, messages: [...whole.messages, first] };
    expect([...odd, circle, twice].map((one) => isReadable(one as Conversation))).toEqual(Array(9).fill(false));
  });

  it("shows one path and keeps the others", () => {
    const before = talkOf("first", "one", "second", "two");
    const question = pathOf(before)[2]!;
    const edited = adding(before, newMessage("user", question.parent, "other"));
    expect(texts(edited)).toEqual(["first", "one", "other"]);
    expect(versionsOf(edited, question).map((one) => one.text)).toEqual(["second", "other"]);
    expect(texts(showing(edited, question))).toEqual(["first", "one", "second", "two"]);
  });

  it("is told to the model along its path, thoughts included, its system prompt first", () => {
    const talk = { ...talkOf("a", "b", "c"), system: "Be short." };
    const reply = { ...pathOf(talk)[1]!, thought: { text: "hm", tokens: 1, end: "natural", budget: null } };
    expect(saidUpTo(replacing(talk, reply), talk.leaf!)).toEqual([
      { role: "system", content: "Be short." },
      { role: "user", content: "a" },
      { role: "assistant", content: "b", reasoning_content: "hm" },
      { role: "user", content: "c" },
    ]);
  });

  it("is named by its first question, cut at its first line", () => {
    expect(talkOf("one\ntwo", "x", "three").title).toBe("one");
    expect(talkOf("a".repeat(80)).title).toHaveLength(60);
  });

  it("drops an empty failure and shows the question again", () => {
    const talk = talkOf("a", "");
    expect(texts(without(talk, pathOf(talk)[1]!))).toEqual(["a"]);
  });

  it("says of a reply that a reload cut that it was cut", () => {
    const talk = adding(talkOf("a"), newMessage("assistant", null, ""));
    expect(afterReload(talk).messages.at(-1)?.state).toBe("interrupted");
  });
});

describe("files", () => {
  it("have a heading a message, and quote thoughts", () => {
    const talk = talkOf("What is 6*7?", "**42**");
    const reply = { ...pathOf(talk)[1]!, thought: { text: "six\n\nsevens", tokens: 3, end: "natural", budget: null } };
    const expected = "# What is 6*7?\n\n## You\n\nWhat is 6*7?\n\n## Model\n\n> six\n>\n> sevens\n\n**42**\n";
    expect(asMarkdown(replacing(talk, reply))).toBe(expected);
  });

  it("are named after the conversation, in any script, without what file systems refuse", () => {
    expect(fileName(talkOf('a/b: "c"?'), "md")).toBe("a-b-c.md");
    expect(fileName(talkOf("שלום"), "md")).toBe("שלום.md");
    expect(fileName(talkOf("???"), "md")).toBe("conversation.md");
  });
});

it("a search finds all words, in titles and messages", () => {
  const [one, two] = [talkOf("About rivers", "The Rhine is long."), talkOf("About hills", "None.")];
  expect(found([one, two], "rhine about")).toEqual([one]);
  expect(found([one, two], " ")).toEqual([one, two]);
});

import { expect, it, vi } from "vitest";
import { Talk } from "../src/conversation/talk";
import { Connection } from "../src/transport/connection";
import { aboutOf, type Health } from "../src/transport/server_format";
import type { ReplyRequest, ThinkingChoice, Transport } from "../src/transport/transport";
import { Trouble } from "../src/transport/trouble";

/** A talk with a server that says this of thinking; `asked` are the choices of its requests. */
async function talkWith(thinking: Health["thinking"]): Promise<{ talk: Talk; asked: (ThinkingChoice | null)[] }> {
  const asked: (ThinkingChoice | null)[] = [];
  const health = { task: "chat", can_think: true, thinking, provider: { reason: "", chosen: null, attempts: [] } } as unknown as Health;
  const transport = {
    about: async () => aboutOf(health),
    reply({ thinking: choice }: ReplyRequest) {
      asked.push(choice);
      return { events: async function* () {}, answerNow: async () => undefined, stop: async () => undefined };
    },
  } as unknown as Transport;
  const talk = new Talk(new Connection(transport));
  await talk.connection.ask();
  return { talk, asked };
}

const choose = (talk: Talk, change: Partial<ThinkingChoice>): void =>
  talk.library.change(talk.library.open.value.id, (before) => ({ ...before, thinking: { ...talk.thinking.value, ...change } }));

it("a choice of more thoughts than the server takes by now asks for as many as it takes", async () => {
  const { talk, asked } = await talkWith({ enabled: "on", budget: null, width: 1, most_width: 1 });
  choose(talk, { width: 4 });
  expect(talk.thinking.value.width).toBe(1);
  talk.send("2+2");
  expect(asked).toEqual([{ on: true, budget: null, width: 1 }]);
});

it("a choice of a budget leaves how thoughts are chosen to the server", async () => {
  const { talk, asked } = await talkWith({ enabled: "on", budget: null, width: 4, most_width: 8 });
  expect(talk.connection.about.value).toMatchObject({ thoughts: 4, mostThoughts: 8 });
  choose(talk, { budget: 64 });
  talk.send("2+2");
  expect(asked).toEqual([{ on: true, budget: 64 }]);
});

it("a reply whose request Firefox ends as the page is left was interrupted, and one whose connection breaks failed", async () => {
  const stateAfter = async (leave: boolean): Promise<unknown> => {
    const leaving: (() => void)[] = [];
    vi.stubGlobal("addEventListener", (kind: string, heard: () => void) => kind === "beforeunload" && leaving.push(heard));
    const events = async function* () {
      yield { kind: "answer", text: "4", speed: { tokens: 1, perSecond: null } };
      if (leave) leaving.forEach((heard) => heard());
      throw new Trouble("connection", "The connection was lost in the middle of the reply.");
    };
    const reply = { events, answerNow: async () => undefined, stop: async () => undefined };
    const talk = new Talk(new Connection({ reply: () => reply, about: async () => null } as unknown as Transport));
    vi.unstubAllGlobals();
    talk.send("2+2");
    await vi.waitUntil(() => talk.runs.value.size === 0);
    return talk.library.open.value.messages.map(({ state, text }) => [state, text]).at(-1);
  };
  expect(await stateAfter(true)).toEqual(["interrupted", "4"]);
  expect(await stateAfter(false)).toEqual(["failed", "4"]);
});

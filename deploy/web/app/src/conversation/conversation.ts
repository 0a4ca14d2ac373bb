/**
 * A conversation: a tree of messages, of which one path is shown. Editing a question or asking again adds a branch, so
 * nothing is lost. Every function returns a new conversation. Knows messages; must not know where they are kept.
 */

import { bytesToHex, randomBytes } from "@noble/hashes/utils.js";
import type { Figures, ParallelThoughts, Said, Sampling, ThinkingChoice } from "../transport/transport";

/** A thought. `end` is why it ended, as the runtime names it; `budget` is the limit that it was given. `parallel`
 * says how it was chosen of several. */
export interface Thought {
  text: string;
  tokens: number;
  end: string;
  budget: number | null;
  parallel?: ParallelThoughts;
}

/** interrupted: the page was left in the middle of it. */
export type MessageState = "writing" | "done" | "stopped" | "interrupted" | "failed";

export interface Message {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  at: number;
  state: MessageState;
  thought: Thought | null;
  figures: Figures | null;
  answerEnd: string | null;
  problem: string | null;
}

export interface Conversation {
  id: string;
  title: string;
  changed: number;
  system: string;
  thinking: ThinkingChoice | null;
  sampling: Sampling;
  messages: Message[];
  leaf: string | null;
}

const TITLE = 60; // characters

/** A random name; `crypto.randomUUID` is missing in insecure contexts. */
const newId = (): string => bytesToHex(randomBytes(12));

export function newConversation(): Conversation {
  return { id: newId(), title: "", changed: Date.now(), system: "", thinking: null, sampling: {}, messages: [], leaf: null };
}

export function newMessage(role: Message["role"], parent: string | null, text: string): Message {
  const state = role === "user" ? "done" : "writing";
  const empty = { thought: null, figures: null, answerEnd: null, problem: null };
  return { id: newId(), parent, role, text, at: Date.now(), state, ...empty };
}

/** The messages that are shown, the first one first. */
export function pathOf(conversation: Conversation): Message[] {
  return pathTo(conversation, conversation.leaf);
}

export function pathTo(conversation: Conversation, leaf: string | null): Message[] {
  const byId = new Map(conversation.messages.map((one) => [one.id, one]));
  const path: Message[] = [];
  for (let at = leaf === null ? undefined : byId.get(leaf); at; at = byId.get(at.parent ?? "")) path.unshift(at);
  return path;
}

const placeOf = ({ role, parent }: Message): string => `${role} ${parent}`;
const places = new WeakMap<readonly Message[], ReadonlyMap<string, Message[]>>(); // of all messages, since each is drawn

/** The message and those that were written in its place, in order of time. */
export function versionsOf({ messages }: Conversation, message: Message): Message[] {
  const found = places.get(messages) ?? byPlace(messages);
  places.set(messages, found);
  return found.get(placeOf(message)) ?? [];
}

function byPlace(messages: readonly Message[]): Map<string, Message[]> {
  const found = new Map<string, Message[]>();
  for (const one of messages) {
    const place = placeOf(one);
    const there = found.get(place);
    if (there) there.push(one);
    else found.set(place, [one]);
  }
  return found;
}

/** Show the path through a message, to the latest end below it. */
export function showing(conversation: Conversation, message: Message): Conversation {
  let end = message;
  for (;;) {
    const below = conversation.messages.filter((one) => one.parent === end.id).at(-1);
    if (!below) return { ...conversation, leaf: end.id };
    end = below;
  }
}

/** Add a message and show it; the first question becomes the title. */
export function adding(conversation: Conversation, message: Message): Conversation {
  const title = conversation.title || (message.role === "user" ? titleOf(message.text) : "");
  return { ...conversation, title, changed: Date.now(), messages: [...conversation.messages, message], leaf: message.id };
}

export function replacing(conversation: Conversation, message: Message): Conversation {
  const messages = conversation.messages.map((one) => (one.id === message.id ? message : one));
  return { ...conversation, changed: Date.now(), messages };
}

/** Drop a message without any below it, and show the one above. */
export function without(conversation: Conversation, message: Message): Conversation {
  const messages = conversation.messages.filter((one) => one.id !== message.id);
  return { ...conversation, messages, leaf: conversation.leaf === message.id ? message.parent : conversation.leaf };
}

/** What a reply to the message `leaf` is asked with. */
export function saidUpTo(conversation: Conversation, leaf: string): Said[] {
  const system: Said[] = conversation.system.trim() ? [{ role: "system", content: conversation.system }] : [];
  return [...system, ...pathTo(conversation, leaf).map(said)];
}

function said({ role, text, thought }: Message): Said {
  return thought ? { role, content: text, reasoning_content: thought.text } : { role, content: text };
}

/** Whether a record of the store is a conversation that can be shown: other pages of an origin write to it too. */
export function isReadable(record: Conversation | null | undefined): record is Conversation {
  if (typeof record?.id !== "string" || typeof record.title !== "string" || typeof record.system !== "string" || !Array.isArray(record.messages)) return false;
  const above = new Set<string | null>([null]); // a message stands behind its parent, which leaves no circles
  return record.messages.every((one) => {
    const fits = typeof one?.id === "string" && typeof one.text === "string" && above.has(one.parent ?? null) && !above.has(one.id);
    above.add(one?.id);
    return fits;
  });
}

/** As it is after the page was left in the middle of a reply. */
export function afterReload(conversation: Conversation): Conversation {
  const messages = conversation.messages.map((one) =>
    one.state === "writing" ? { ...one, state: "interrupted" as const } : one,
  );
  return { ...conversation, messages };
}

function titleOf(text: string): string {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length <= TITLE ? line : `${line.slice(0, TITLE - 1).trimEnd()}…`;
}

/** Asking, asking again, editing and stopping: what the page does with its library and its transport. */

import { computed, signal } from "@preact/signals";
import { adding, newMessage, pathOf, replacing, saidUpTo, showing, without, type Conversation, type Message } from "./conversation";
import { Library } from "./library";
import { Run, type Part } from "./run";
import type { Connection } from "../transport/connection";
import type { ThinkingChoice } from "../transport/transport";
import { Trouble } from "../transport/trouble";

const KEPT = 1000; // ms between two times that a reply under way is kept
const LEAVING = 2000; // ms after the page began to be left, in which a request that breaks off is no failure

export class Talk {
  readonly library = new Library();
  readonly runs = signal<ReadonlyMap<string, Run>>(new Map());
  /** What a screen reader is told. */
  readonly spoken = signal("");

  /** The reply that is being written in the open conversation. */
  readonly run = computed(() => this.runs.value.get(this.library.open.value.id) ?? null);

  /** What the open conversation's next reply is asked with: its own choice, else what the server says. */
  readonly thinking = computed<ThinkingChoice>(
    () => this.fitting(this.library.open.value.thinking) ?? this.connection.about.value?.thinking ?? { on: true, budget: null },
  );

  private left = -Infinity;

  constructor(readonly connection: Connection) {
    globalThis.addEventListener?.("beforeunload", () => (this.left = performance.now())); // Firefox ends requests before it hides a page
  }

  send(text: string): void {
    const { id, leaf } = this.library.open.value;
    const question = newMessage("user", leaf, text);
    this.library.change(id, (before) => adding(before, question));
    void this.write(this.library.open.value.id, question.id);
  }

  /** Ask the question of a reply again; the reply so far stays as another version, unless it is an empty failure. */
  again(reply: Message): void {
    const { id } = this.library.open.value;
    if (reply.parent === null || this.runs.value.has(id)) return;
    const empty = reply.text === "" && reply.thought === null;
    if (empty) this.library.change(id, (before) => without(before, reply));
    void this.write(id, reply.parent);
  }

  /** Ask something else in a question's place; the old one and what followed stay as another version. */
  edit(question: Message, text: string): void {
    const { id } = this.library.open.value;
    const edited = newMessage("user", question.parent, text);
    this.library.change(id, (before) => adding(before, edited));
    void this.write(id, edited.id);
  }

  version(message: Message): void {
    this.library.change(this.library.open.value.id, (before) => showing(before, message));
  }

  /** Delete a conversation, and end the reply that is written in it. */
  remove(conversation: Conversation): void {
    void this.runs.value.get(conversation.id)?.stop();
    this.library.remove(conversation.id);
  }

  /** Why the last reply of the open conversation failed. */
  readonly failure = computed<Message | null>(() => {
    const last = pathOf(this.library.open.value).at(-1);
    return last?.state === "failed" ? last : null;
  });

  private async write(id: string, question: string): Promise<void> {
    const conversation = this.library.find(id);
    if (!conversation || this.runs.value.has(id)) return;
    const { sampling, thinking } = conversation;
    const canThink = this.connection.about.value?.canThink ?? false;
    const reply = this.connection.transport.reply({
      messages: saidUpTo(conversation, question),
      thinking: canThink ? this.fitting(thinking) : null,
      sampling,
    });
    const message = newMessage("assistant", question, "");
    const run = new Run(id, message, this.thinking.value.on ? this.thinking.value.budget : null, reply);
    this.runs.value = new Map([...this.runs.value, [id, run]]);
    this.library.change(id, (before) => adding(before, message));
    const keeping = setInterval(() => this.library.change(id, (before) => replacing(before, run.snapshot())), KEPT);
    const { message: written, error } = await run.read((part) => this.tell(part));
    clearInterval(keeping);
    const left = error instanceof Trouble && error.kind === "connection" && performance.now() - this.left < LEAVING;
    this.library.change(id, (before) => replacing(before, left ? { ...run.snapshot(), state: "interrupted" } : written));
    this.runs.value = new Map([...this.runs.value].filter(([at]) => at !== id));
    this.spoken.value = written.problem ?? (written.text ? `Answer: ${written.text}` : "Stopped.");
    if (error instanceof Trouble) void this.connection.ask();
  }

  /** A choice with no more thoughts than there can be here: it may be of a time when there could be more. */
  private fitting(choice: ThinkingChoice | null): ThinkingChoice | null {
    const most = this.connection.about.value?.mostThoughts ?? 1;
    return choice?.width === undefined ? choice : { ...choice, width: Math.min(choice.width, most) };
  }

  private tell(part: Part): void {
    this.spoken.value = part === "thinking" ? "The model is thinking." : "The model is answering.";
  }
}

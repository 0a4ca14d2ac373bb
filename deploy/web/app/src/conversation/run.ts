/**
 * One reply while it is written. It belongs to the conversation that it was asked in, whichever one is open meanwhile.
 * Knows events and one message; must not know the library.
 */

import { signal } from "@preact/signals";
import type { Message } from "./conversation";
import type { Reply, ReplyEvent, Speed, ThoughtsProgress } from "../transport/transport";
import { inWords, isAbort } from "../transport/trouble";

export type Part = "waiting" | "thinking" | "answering";

const REDRAW = 33; // ms between two drawings of text that grows

export class Run {
  readonly thought = signal("");
  readonly answer = signal("");
  readonly part = signal<Part>("waiting");
  readonly speed = signal<Speed | null>(null);
  readonly thoughts = signal<ThoughtsProgress | null>(null); // of several, until one is chosen
  readonly stopping = signal(false);
  private newThought = "";
  private newAnswer = "";
  private thoughtSpeed: Speed | null = null;
  private answerSpeed: Speed | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private end: Extract<ReplyEvent, { kind: "end" }> | null = null;

  constructor(
    readonly conversation: string,
    readonly message: Message,
    readonly budget: number | null,
    private readonly reply: Reply,
  ) {}

  /** Read the reply to its end, and return the message as it is then; `onPart` is told when a part begins. */
  async read(onPart: (part: Part) => void): Promise<{ message: Message; error: unknown }> {
    let error: unknown = null;
    try {
      for await (const event of this.reply.events()) this.take(event, onPart);
    } catch (caught) {
      error = isAbort(caught) && this.stopping.value ? null : caught;
    }
    this.draw();
    return { message: this.finished(error), error };
  }

  /** The message as far as it is written. */
  snapshot(): Message {
    const thought = this.thought.value + this.newThought;
    const tokens = this.end?.figures.thought.tokens ?? this.thoughtSpeed?.tokens ?? 0;
    return {
      ...this.message,
      text: this.answer.value + this.newAnswer,
      thought: thought === "" ? null : { text: thought, tokens, end: this.end?.thinkingEnd ?? "", budget: this.budget, ...(this.end?.parallel && { parallel: this.end.parallel }) },
    };
  }

  async answerNow(): Promise<void> {
    await this.reply.answerNow();
  }

  async stop(): Promise<void> {
    this.stopping.value = true;
    await this.reply.stop();
  }

  private take(event: ReplyEvent, onPart: (part: Part) => void): void {
    if (event.kind === "end") {
      this.end = event;
      return;
    }
    this.thoughts.value = event.kind === "thoughts" ? event.progress : null;
    const part = event.kind === "answer" ? "answering" : "thinking";
    if (event.kind === "thought") [this.newThought, this.thoughtSpeed] = [this.newThought + event.text, event.speed];
    else if (event.kind === "answer") [this.newAnswer, this.answerSpeed] = [this.newAnswer + event.text, event.speed];
    if (this.part.value !== part) {
      this.draw();
      this.part.value = part;
      onPart(part);
    }
    this.timer ??= setTimeout(() => this.draw(), REDRAW);
  }

  private draw(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.thought.value += this.newThought;
    this.answer.value += this.newAnswer;
    this.newThought = this.newAnswer = "";
    this.speed.value = this.part.value === "answering" ? this.answerSpeed : this.thoughtSpeed;
  }

  private finished(error: unknown): Message {
    const message = this.snapshot();
    if (error !== null) return { ...message, state: "failed", problem: inWords(error), figures: this.figuresSoFar() };
    const stopped = this.end === null || this.end.answerEnd === "cancelled";
    const figures = this.end?.figures ?? this.figuresSoFar();
    return { ...message, state: stopped ? "stopped" : "done", figures, answerEnd: this.end?.answerEnd ?? "cancelled" };
  }

  /** What is known of a reply whose end never came. */
  private figuresSoFar(): Message["figures"] {
    const nothing: Speed = { tokens: 0, perSecond: null };
    if (this.thoughtSpeed === null && this.answerSpeed === null) return null;
    return { prompt: 0, cached: 0, thought: this.thoughtSpeed ?? nothing, answer: this.answerSpeed ?? nothing };
  }
}

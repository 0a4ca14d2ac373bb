/** One reply: the engine's tokens turned into events, counted and timed. */

import type { Token, TokenLoop } from "../engine/tokenLoop.js";
import type { Stop } from "../engine/stop.js";
import { type End, type Finish, type ReplyEvent, speed, type ToolCall } from "../events.js";
import type { Decision, Part, ThinkingEnd } from "../thinking/thinking.js";
import type { ThoughtControl } from "../thinking/thoughtControl.js";
import type { ReplyPiece, ReplySplitter } from "./replySplitter.js";
import type { Events, OnEnd } from "./streamedReply.js";

/** What is kept while a reply is written. */
export class ReplyRun {
  private readonly ids: number[] = []; // what ended it left out
  private readonly texts: Record<Part, string> = { thought: "", answer: "" };
  private readonly seconds: Record<Part, number> = { thought: 0, answer: 0 };
  private readonly calls: ToolCall[] = [];
  private prefill = 0;
  private sampled = false;
  private forced = 0;

  /** A reply that `loop` makes of a prompt; `control` is null for a model without thoughts. */
  constructor(
    private readonly loop: TokenLoop,
    private readonly promptTokens: number,
    private readonly decision: Decision,
    private readonly splitter: ReplySplitter,
    private readonly control: ThoughtControl | null,
  ) {}

  /** Yield the events while tokens come; `onEnd` gets the end just before it is yielded. An abandoned reply has no end. */
  async *events(stop: Stop, onEnd: OnEnd): Events {
    let finish: Finish = "cancelled";
    let last = performance.now();
    for await (const token of this.loop.tokens()) {
      this.countTime((performance.now() - last) / 1000, token);
      yield* this.take(token);
      finish = token.finish ?? finish;
      last = performance.now(); // without the reader's own time
    }
    if (stop.abandoned) return;
    const { part } = this.splitter;
    yield* this.eventsOf(part, this.splitter.flush(finish), false);
    if (part === "thought") yield* this.thoughtEnd(this.control?.ended(finish) ?? null);
    const end = this.end(finish);
    onEnd(end);
    yield end;
  }

  /** Add a token's time to its part. Forced ids run together with the prompt, before the first sampled token. */
  private countTime(seconds: number, token: Token): void {
    if (this.sampled) this.seconds[this.splitter.part] += seconds;
    else {
      this.prefill += seconds;
      this.sampled = !token.forced;
    }
  }

  private *take(token: Token): Generator<ReplyEvent> {
    if (token.id === null || token.finish === "stop") return;
    this.ids.push(token.id);
    this.forced += Number(token.forced);
    const { part } = this.splitter;
    const pieces = this.splitter.feed(token.id, token.forced);
    this.control?.accept(token, this.splitter.part);
    yield* this.eventsOf(part, pieces, token.forced);
    if (part === "thought" && this.splitter.part === "answer") yield* this.thoughtEnd(this.control?.end ?? null);
  }

  /** The end of a thought; none for the empty one that says that there is no thought. */
  private *thoughtEnd(reason: ThinkingEnd | null): Generator<ReplyEvent> {
    if (reason === null || reason === "off") return;
    yield { type: "thought_end", reason, thinking: speed(this.splitter.tokens.thought, this.seconds.thought) };
  }

  private *eventsOf(part: Part, pieces: readonly ReplyPiece[], forced: boolean): Generator<ReplyEvent> {
    for (const piece of pieces) {
      if (typeof piece === "string") {
        this.texts[part] += piece;
        yield { type: part, text: piece, forced, tokens: this.splitter.tokens[part] };
      } else {
        this.calls.push(piece);
        yield piece;
      }
    }
  }

  private end(finish: Finish): End {
    const { tokens } = this.splitter;
    const { reused } = this.loop;
    return {
      type: "end",
      thought: this.texts.thought,
      answer: this.texts.answer,
      toolCalls: this.calls,
      thinkingEnd: this.control?.ended(finish) ?? "off",
      answerEnd: finish,
      enabled: this.decision.enabled,
      decidedBy: this.decision.by,
      promptTokens: this.promptTokens,
      cachedTokens: reused,
      forcedTokens: this.forced,
      ids: this.ids,
      prefill: speed(this.promptTokens - reused, this.prefill),
      thinking: speed(tokens.thought, this.seconds.thought),
      answering: speed(tokens.answer, this.seconds.answer),
    };
  }
}

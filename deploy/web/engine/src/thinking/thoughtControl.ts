/**
 * Keeps one reply's thought within what was asked: opens it, leaves it out, makes it end, closes it.
 *
 * Two places to act: `shape` on the logits before a token is drawn, `accept` on the token that came, which may put ids
 * into the queue of forced ones.
 */

import type { ThinkingIds } from "../artifact/manifest.js";
import type { Finish } from "../events.js";
import type { Token } from "../engine/tokenLoop.js";
import type { Stop } from "../engine/stop.js";
import { argmax } from "../engine/sampling.js";
import { Detokenizer, type ModelTokenizer } from "../prompt/tokenizer.js";
import type { Opening, Part, Switch, Thinking, ThinkingEnd } from "./thinking.js";
import { LoopDetector } from "./thoughtLoops.js";

const BREAK = "\n\n"; // Qwen's templates write it after `</think>` and in an empty thought
const LEAD = 4; // logits that closing is ahead of the likeliest token by, where the budget ends
const ENDS = /(\n|[.!?…。！？]["')\]”’»*_]*)[ \t]*$/;

/** Ids that end an open thought: with a message, without one, and for one that has nothing in it yet. */
interface Closing {
  readonly withMessage: readonly number[];
  readonly bare: readonly number[];
  readonly empty: readonly number[];
}

function closingOf(ids: ThinkingIds, tokenizer: ModelTokenizer, message: string): Closing {
  const separator = tokenizer.encodePlain(BREAK);
  const end = [ids.end, ...separator];
  return {
    withMessage: [...tokenizer.encodePlain(message), ...end],
    bare: [...tokenizer.encodePlain("\n"), ...end],
    empty: [...separator, ...end],
  };
}

/** The most tokens that a thought may have, why, and what closes it there. */
interface ThoughtLimit {
  readonly tokens: number;
  readonly reason: ThinkingEnd;
  readonly closing: readonly number[];
}

/**
 * The limit of a thought in a reply that has `limit` tokens beside the opening marker; some stay the answer's. The
 * message is left out where it would take what the thought or the answer needs.
 */
function limitThought(thinking: Thinking, closing: Closing, limit: number): ThoughtLimit {
  const left = limit - Math.min(thinking.answerReserve, Math.floor(limit / 2));
  const ids = left > closing.withMessage.length ? closing.withMessage : closing.bare;
  const room = Math.max(0, left - ids.length);
  const { budget } = thinking;
  if (budget !== null && budget <= room) return { tokens: budget, reason: "budget", closing: ids };
  return { tokens: room, reason: "reserve", closing: ids };
}

/** Which ids of a vocabulary end a sentence or a line; each is looked at once. */
export class Boundaries {
  private readonly known = new Map<number, boolean>();

  constructor(private readonly tokenizer: ModelTokenizer) {}

  ends(id: number): boolean {
    let found = this.known.get(id);
    if (found === undefined) this.known.set(id, (found = ENDS.test(this.tokenizer.decode([id]))));
    return found;
  }
}

/** What a reply's thought is controlled with; `forced` is the queue of forced ids, `limit` the reply's tokens. */
export interface ThoughtParts {
  readonly ids: ThinkingIds;
  readonly begin: Opening;
  readonly switch: Switch;
  readonly settings: Thinking;
  readonly limit: number;
  readonly tokenizer: ModelTokenizer;
  readonly boundaries: Boundaries;
  readonly stopIds: readonly number[];
  readonly forced: number[];
  readonly stop: Stop;
}

/** The thought of one reply; the table of its states is in the Python runtime's class of this name. */
export class ThoughtControl {
  end: ThinkingEnd | null;
  tokens = 0;
  private part: Part | null;
  private readonly closing: Closing;
  private readonly limit: ThoughtLimit;
  private readonly stopIds: readonly number[];
  private readonly loops: LoopDetector | null;
  private atBoundary = false;
  private raised = false;

  constructor(private readonly parts: ThoughtParts) {
    const { ids, begin, settings, tokenizer } = parts;
    this.end = begin === "answering" ? "off" : null;
    this.part = begin === "thinking" ? "thought" : begin === "answering" ? "answer" : null;
    this.stopIds = parts.stopIds.filter((id) => id !== ids.end);
    this.closing = closingOf(ids, tokenizer, settings.message);
    this.limit = limitThought(settings, this.closing, parts.limit - (begin === "thinking" ? 0 : 1));
    const detokenizer = new Detokenizer(tokenizer);
    this.loops = settings.stopLoops ? new LoopDetector((id) => detokenizer.feed(id)) : null;
    this.begin(parts.switch);
  }

  /** Change the logits in place: a reply has at most one thought, at its start, and does not end within it. */
  shape(logits: Float32Array): void {
    const { ids } = this.parts;
    if (this.part === "thought") {
      logits[ids.start] = -Infinity;
      this.endLater(logits);
      this.raised = this.atBoundary && this.soften(logits);
    } else {
      logits[ids.end] = -Infinity;
      if (this.part === "answer") logits[ids.start] = -Infinity;
    }
  }

  /** Take note of a token and of the part that the reply is in after it. */
  accept(token: Token, part: Part): void {
    const before = this.part;
    this.part = part;
    if (part === "thought") this.within(token, before !== "thought");
    else if (before === "thought") this.end ??= this.raised ? "soft" : "natural";
    else if (before === null) this.end = "none";
  }

  /** Why thinking ended, once the reply ended by `finish`. */
  ended(finish: Finish): ThinkingEnd {
    if (this.end === null && this.part === "thought") return finish === "stop" ? "length" : finish;
    return this.end ?? "none";
  }

  private begin(asked: Switch): void {
    const { ids, forced } = this.parts;
    if (this.part === null && asked === "off") {
      forced.push(ids.start, ...this.closing.empty); // as the model would write it after `/no_think`
      this.end = "off";
    } else if (this.part === null && asked === "on") forced.push(ids.start);
    else if (this.part === "thought" && this.limit.tokens === 0) this.close(this.limit.reason);
  }

  private within(token: Token, opened: boolean): void {
    let looping = false;
    if (!token.forced && !opened) {
      this.tokens += 1;
      this.atBoundary = this.parts.boundaries.ends(token.id!);
      looping = this.loops?.feed(token.id!) ?? false;
    }
    if (this.end !== null || this.parts.forced.length) return; // it is being closed
    if (this.parts.stop.thinkingStopped) this.close("user");
    else if (this.tokens >= this.limit.tokens) this.close(this.limit.reason);
    else if (looping) this.close("loop");
  }

  private close(reason: ThinkingEnd): void {
    this.end = reason;
    const opened = this.parts.begin === "thinking" ? this.closing.bare : this.closing.empty;
    this.parts.forced.push(...(this.tokens ? this.limit.closing : opened));
  }

  /** Give closing the chances of ending the whole reply: a thought without an answer serves nobody. */
  private endLater(logits: Float32Array): void {
    const end = this.parts.ids.end;
    for (const id of this.stopIds) {
      logits[end] = logAddExp(logits[end]!, logits[id]!);
      logits[id] = -Infinity;
    }
  }

  private soften(logits: Float32Array): boolean {
    const { softFrom, softLift } = this.parts.settings;
    if (softFrom === null || this.end !== null) return false;
    const share = progress(this.tokens, softFrom, this.limit.tokens);
    return share > 0 && raiseLogit(logits, this.parts.ids.end, share, softLift);
  }
}

/** How far a thought of `tokens` is from where closing begins to be likelier (0) to the budget (1). */
function progress(tokens: number, softFrom: number, budget: number): number {
  const begin = softFrom * budget;
  return budget > begin ? Math.min(1, Math.max(0, (tokens - begin) / (budget - begin))) : 1;
}

/**
 * Lift the logit of `id` in place by a share of what it lacks to be LEAD above the likeliest, or of `most` if less.
 * Whether the id was not the likeliest before.
 */
function raiseLogit(logits: Float32Array, id: number, share: number, most: number): boolean {
  const behind = logits[argmax(logits)]! - logits[id]!;
  logits[id]! += Math.fround(share * Math.min(behind + LEAD, most));
  return behind > 0;
}

function logAddExp(a: number, b: number): number {
  const most = Math.max(a, b);
  return most === -Infinity ? most : most + Math.log1p(Math.exp(-Math.abs(a - b)));
}

/**
 * The token loop: one reply's ids, drawn or forced, one after the other. Knows ids, rows of logits and a sampler. Must
 * not know text, templates or thoughts: a budget is ids that the caller puts into the queue of forced ones.
 */

import { contextError, inputError } from "../errors.js";
import type { Finish } from "../events.js";
import type { HeldUse } from "./heldSequence.js";
import type { LaneLimits } from "./lane.js";
import { macrotask } from "./macrotask.js";
import type { Sampler } from "./sampling.js";
import type { Stop } from "./stop.js";

/** One step of a reply; `finish` is null until the last. `id` is null only where a cancelled reply ends. */
export interface Token {
  readonly id: number | null;
  readonly forced: boolean;
  readonly finish: Finish | null;
}

/** What one reply is made of. Ids put into `forced` between two tokens come next; they count as tokens but never stop. */
export interface LoopParts {
  readonly use: HeldUse;
  readonly prompt: readonly number[];
  readonly sampler: Sampler;
  readonly stopIds: ReadonlySet<number>;
  readonly maxTokens: number | null;
  readonly forced: number[];
  readonly stop: Stop;
}

/** Runs one reply. `reused` counts the prompt's tokens that were not run, once the first token came. */
export class TokenLoop {
  reused = 0;

  /** Throws an input or context error for what can't be run. */
  constructor(private readonly parts: LoopParts) {
    checkPrompt(parts.prompt, parts.use.limits);
    const { maxTokens } = parts;
    if (maxTokens !== null && !(Number.isInteger(maxTokens) && maxTokens >= 1)) {
      throw inputError(`maxTokens is ${maxTokens}, expected 1 or more, or null for what the context has room for`);
    }
  }

  /** The most tokens that come. */
  get limit(): number {
    const room = this.parts.use.limits.contextLength - this.parts.prompt.length;
    return Math.min(this.parts.maxTokens ?? room, room);
  }

  /** The tokens as they come. */
  async *tokens(): AsyncGenerator<Token, void, void> {
    const { use, prompt, sampler, stopIds, forced, stop, maxTokens } = this.parts;
    const { limit } = this;
    const last: Finish = limit === maxTokens ? "length" : "context";
    sampler.start(prompt);
    this.reused = await use.rewind(prompt, prompt.length - 1);
    let pending = prompt.slice(this.reused); // at least one token
    for (let count = 1; count <= limit; count++) {
      const isForced = forced.length > 0;
      let token: number;
      if (isForced) token = forced.shift()!;
      else {
        const logits = await feed(use, pending, stop);
        pending = [];
        if (logits === null || stop.cancelled) {
          yield { id: null, forced: false, finish: "cancelled" };
          return;
        }
        token = sampler.draw(logits);
      }
      sampler.accept(token);
      pending.push(token);
      const finish = !isForced && stopIds.has(token) ? "stop" : count === limit ? last : null;
      yield { id: token, forced: isForced, finish };
      if (finish) return;
    }
  }
}

/** Make the KV cache hold exactly `ids`, or as much of them as was run once it was stopped. */
export async function prefill(use: HeldUse, ids: readonly number[], stop: Stop): Promise<void> {
  checkPrompt(ids, use.limits);
  const shared = await use.rewind(ids, ids.length);
  await feed(use, ids.slice(shared), stop);
}

/** Run `pending` in pieces; the logits after the last token, null once cancelled. Between pieces other work has its turn. */
async function feed(use: HeldUse, pending: readonly number[], stop: Stop): Promise<Float32Array | null> {
  let logits: Float32Array | null = null;
  for (const piece of use.pieces(pending)) {
    await macrotask();
    if (stop.cancelled) return null;
    logits = await use.run(piece);
  }
  return logits;
}

function checkPrompt(prompt: readonly number[], limits: LaneLimits): void {
  if (!prompt.length) throw inputError("the prompt is empty, expected at least one token");
  const wrong = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= limits.vocabSize);
  if (wrong !== undefined) throw inputError(`the prompt holds the id ${wrong}, expected ids from 0 to ${limits.vocabSize - 1}`);
  if (prompt.length >= limits.contextLength) {
    throw contextError(
      `the prompt has ${prompt.length} tokens, the model's maximum context length is ${limits.contextLength} with the ` +
        "reply: shorten the prompt or start a new chat",
    );
  }
}

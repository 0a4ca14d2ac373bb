/**
 * The tokens that a KV cache holds: kept from prompt to prompt, run in pieces, for one use at a time. A use that begins
 * while another one goes on ends that one at its next step.
 */

import { inputError, unavailableError } from "../errors.js";
import type { Lane, LaneLimits } from "./lane.js";

export class HeldSequence {
  private ids: number[] = []; // what the KV cache holds
  private latest: HeldUse | null = null;
  private running: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(
    private readonly lane: Lane,
    readonly limits: LaneLimits,
  ) {}

  /** A use of the KV cache: a reply, or a prefill for a later turn. */
  begin(): HeldUse {
    this.latest = new HeldUse(this);
    return this.latest;
  }

  /** Free the KV cache once the step in progress ends. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running;
    this.ids = [];
    await this.lane.close();
  }

  /** Throws an input error where a later use has the KV cache, an unavailable one where it was closed. */
  check(use: HeldUse): void {
    if (this.closed) throw unavailableError("the model was closed: open it again");
    if (use !== this.latest) throw inputError("another reply was begun with this model: read one reply to its end before the next");
  }

  /** Hold the longest start of `wanted` of at most `most` tokens that is there already; its length. */
  async rewind(use: HeldUse, wanted: readonly number[], most: number): Promise<number> {
    await this.running;
    this.check(use);
    const shared = commonPrefix(this.ids, wanted.slice(0, most));
    this.lane.trim(shared);
    this.ids = wanted.slice(0, shared);
    return shared;
  }

  /** What the next steps take of `pending`. */
  pieces(pending: readonly number[]): number[][] {
    this.lane.expect(this.ids.length + pending.length);
    const chunk = this.limits.prefillChunk;
    return Array.from({ length: Math.ceil(pending.length / chunk) }, (_, at) => pending.slice(at * chunk, (at + 1) * chunk));
  }

  /** Run ids in one step; the logits after the last. What a failed step left is forgotten. */
  run(use: HeldUse, ids: readonly number[]): Promise<Float32Array> {
    this.check(use);
    const step = this.step(ids);
    this.running = step.catch(() => undefined);
    return step;
  }

  private async step(ids: readonly number[]): Promise<Float32Array> {
    try {
      const logits = await this.lane.step(ids);
      this.ids.push(...ids);
      return logits;
    } catch (error) {
      this.lane.trim(this.ids.length);
      throw error;
    }
  }
}

/** One use of a held sequence. */
export class HeldUse {
  constructor(private readonly held: HeldSequence) {}

  get limits(): LaneLimits {
    return this.held.limits;
  }

  check(): void {
    this.held.check(this);
  }

  rewind(wanted: readonly number[], most: number): Promise<number> {
    return this.held.rewind(this, wanted, most);
  }

  pieces(pending: readonly number[]): number[][] {
    return this.held.pieces(pending);
  }

  run(ids: readonly number[]): Promise<Float32Array> {
    return this.held.run(this, ids);
  }
}

/** How many ids `a` and `b` have in common at their start. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((id, place) => id !== b[place]);
  return at < 0 ? a.length : at;
}

/**
 * The tokens that a KV cache holds: kept from prompt to prompt, run in pieces, for one use at a time. A use that begins
 * while another one goes on ends that one at its next step.
 */

import { inputError, unavailableError } from "../errors.js";
import type { Lane, LaneLimits } from "./lane.js";

/** A reply, or a prefill for a later turn. Throws an input error where a later use has the KV cache, an unavailable one where it was closed. */
export interface HeldUse {
  readonly limits: LaneLimits;
  /** Hold the longest start of `wanted` of at most `most` tokens that is there already; its length. */
  rewind(wanted: readonly number[], most: number): Promise<number>;
  /** What the next steps take of `pending`. */
  pieces(pending: readonly number[]): number[][];
  /** Run ids in one step; the logits after the last. What a failed step left is forgotten. */
  run(ids: readonly number[]): Promise<Float32Array>;
}

export class HeldSequence {
  private ids: number[] = []; // what the KV cache holds
  private latest: HeldUse | null = null;
  private running: Promise<unknown> = Promise.resolve();
  private closed = false;

  constructor(private readonly lane: Lane) {}

  begin(): HeldUse {
    const use: HeldUse = {
      limits: this.lane,
      rewind: (wanted, most) => this.rewind(use, wanted, most),
      pieces: (pending) => this.pieces(pending),
      run: (ids) => this.run(use, ids),
    };
    return (this.latest = use);
  }

  /** Free the KV cache once the step in progress ends. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running;
    this.ids = [];
    await this.lane.close();
  }

  private check(use: HeldUse): void {
    if (this.closed) throw unavailableError("the model was closed: open it again");
    if (use !== this.latest) throw inputError("another reply was begun with this model: read one reply to its end before the next");
  }

  private async rewind(use: HeldUse, wanted: readonly number[], most: number): Promise<number> {
    await this.running;
    this.check(use);
    const shared = commonPrefix(this.ids, wanted.slice(0, most));
    this.lane.trim(shared);
    this.ids = wanted.slice(0, shared);
    return shared;
  }

  private pieces(pending: readonly number[]): number[][] {
    this.lane.expect(this.ids.length + pending.length);
    const chunk = this.lane.prefillChunk;
    return Array.from({ length: Math.ceil(pending.length / chunk) }, (_, at) => pending.slice(at * chunk, (at + 1) * chunk));
  }

  private run(use: HeldUse, ids: readonly number[]): Promise<Float32Array> {
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

/** How many ids `a` and `b` have in common at their start. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((id, place) => id !== b[place]);
  return at < 0 ? a.length : at;
}

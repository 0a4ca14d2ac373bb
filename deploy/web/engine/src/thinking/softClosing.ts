/** Making the end of a thought likelier as its budget runs out, where a sentence or a line ends. */

import { argmax } from "../engine/sampling.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";

const LEAD = 4; // logits that closing is ahead of the likeliest token by, where the budget ends
const ENDS = /(\n|[.!?…。！？]["')\]”’»*_]*)[ \t]*$/;

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

/** How far a thought of `tokens` is from where closing begins to be likelier (0) to the budget (1). */
export function progress(tokens: number, softFrom: number, budget: number): number {
  const begin = softFrom * budget;
  return budget > begin ? Math.min(1, Math.max(0, (tokens - begin) / (budget - begin))) : 1;
}

/**
 * Lift the logit of `id` in place by a share of what it lacks to be LEAD above the likeliest, or of `most` if less.
 * Whether the id was not the likeliest before.
 */
export function raiseLogit(logits: Float32Array, id: number, share: number, most: number): boolean {
  const behind = logits[argmax(logits)]! - logits[id]!;
  logits[id]! += Math.fround(share * Math.min(behind + LEAD, most));
  return behind > 0;
}

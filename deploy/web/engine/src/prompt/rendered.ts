/** Rendered text in pieces, each with whether it is an added token that content spells, and its ids. */

import type { Piece } from "./marks.js";
import type { ModelTokenizer } from "./tokenizer.js";

/** A span of the text whose ids are known already. */
export interface KnownSpan {
  readonly start: number;
  readonly end: number;
  readonly ids: readonly number[];
}

export class RenderedText {
  readonly text: string;
  private readonly pieces: readonly (Piece & { readonly start: number })[];

  constructor(pieces: readonly Piece[]) {
    let start = 0;
    this.pieces = pieces.map((piece) => {
      const placed = { ...piece, start };
      start += piece.text.length;
      return placed;
    });
    this.text = pieces.map((piece) => piece.text).join("");
  }

  /** Whether the template wrote an added token at `at`, or the text ends there. */
  hasAddedToken(tokenizer: ModelTokenizer, at: number): boolean {
    return at === this.text.length || (tokenizer.spellings.begins(this.text, at) && this.isTemplates(at));
  }

  /** Where the template itself wrote `text` first, from `after` on; -1 where it did not. */
  first(text: string, after = 0): number {
    let at = text ? this.text.indexOf(text, after) : -1;
    while (at >= 0 && !this.isTemplates(at)) at = this.text.indexOf(text, at + 1);
    return at;
  }

  /** The ids of the text up to `end`; spans of `known` (in order, apart) have the ids that they say. */
  encode(tokenizer: ModelTokenizer, known: readonly KnownSpan[], end = this.text.length): number[] {
    const ids: number[] = [];
    let at = 0;
    for (const span of known.filter((one) => one.end <= end)) {
      ids.push(...this.between(tokenizer, at, span.start), ...span.ids);
      at = span.end;
    }
    return ids.concat(this.between(tokenizer, at, end));
  }

  private between(tokenizer: ModelTokenizer, start: number, end: number): number[] {
    return this.pieces.flatMap((piece) => {
      const text = piece.text.slice(Math.max(0, start - piece.start), Math.max(0, end - piece.start));
      return piece.spelled ? tokenizer.encodePlain(text) : tokenizer.encode(text);
    });
  }

  private isTemplates(at: number): boolean {
    return !this.pieces.findLast((piece) => piece.start <= at)?.spelled;
  }
}

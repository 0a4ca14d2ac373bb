/**
 * Telling a template's own `<|im_end|>` from one that somebody wrote into a message.
 *
 * Who writes the first letter of an added token opens it. Before rendering, the letters with which added tokens begin
 * are therefore swapped, in every message, for private ones that nothing else in the conversation uses. They pass
 * through the template wherever it puts them, and say on the other side which spellings are content. A private letter is
 * as long as the one it stands for, so places in a text stay what they are.
 */

import { inputError } from "../errors.js";
import type { Spellings } from "./tokenizer.js";

// Unicode's private use by how long a letter is in UTF-16: in the basic plane, and beyond it.
const PRIVATE: Readonly<Record<number, { readonly first: number; readonly last: number }>> = {
  1: { first: 0xe000, last: 0xf8ff },
  2: { first: 0xf0000, last: 0xffffd },
};

/** A piece of rendered text, and whether content spells an added token with it. */
export interface Piece {
  readonly text: string;
  readonly spelled: boolean;
}

/** The swap of one conversation: which private letter stands for which first letter of an added token. */
export class Marks {
  private readonly toPrivate = new Map<string, string>();
  private readonly toLetter = new Map<string, string>();

  /** Choose letters for what the strings of `sources` hold. Throws an input error where no private letter is left. */
  constructor(
    private readonly spellings: Spellings,
    ...sources: readonly unknown[]
  ) {
    const used = new Set(stringsOf(sources).flatMap((text) => [...text]));
    for (const letter of [...spellings.openings].filter((one) => used.has(one)).sort()) {
      const { first, last } = PRIVATE[letter.length]!;
      let next = first;
      while (used.has(String.fromCodePoint(next))) next++;
      if (next > last) throw inputError("the messages hold all of Unicode's private letters, expected text: take some out");
      used.add(String.fromCodePoint(next));
      this.toPrivate.set(letter, String.fromCodePoint(next));
      this.toLetter.set(String.fromCodePoint(next), letter);
    }
  }

  /** Whether content could spell an added token, on its own or together with other content. */
  get any(): boolean {
    return this.toPrivate.size > 0;
  }

  /** A copy of JSON-like data whose strings have the first letters of added tokens swapped. */
  mark(value: unknown): unknown {
    if (typeof value === "string") return swapped(value, this.toPrivate);
    if (Array.isArray(value)) return value.map((item) => this.mark(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [swapped(key, this.toPrivate), this.mark(item)]));
  }

  /** The text with its own letters again; as long as before. */
  unmark(text: string): string {
    return swapped(text, this.toLetter);
  }

  /** Pieces of rendered text with their own letters. */
  split(text: string): Piece[] {
    const plain = this.unmark(text);
    const pieces: Piece[] = [];
    let at = 0;
    for (const [start, end] of this.spellings.spans(plain)) {
      if (!this.toLetter.has(String.fromCodePoint(text.codePointAt(start)!))) continue;
      pieces.push({ text: plain.slice(at, start), spelled: false }, { text: plain.slice(start, end), spelled: true });
      at = end;
    }
    return [...pieces, { text: plain.slice(at), spelled: false }].filter((piece) => piece.text);
  }
}

function swapped(text: string, by: ReadonlyMap<string, string>): string {
  let found = text;
  for (const [from, to] of by) found = found.replaceAll(from, to);
  return found;
}

function stringsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(stringsOf);
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, item]) => [key, ...stringsOf(item)]);
}

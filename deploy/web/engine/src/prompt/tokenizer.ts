/**
 * Text to ids through the artifact's `tokenizer.json`, and ids to text, while they come too: byte-level letters to bytes,
 * bytes to characters, none of them half. Byte-level BPE with added tokens.
 */

import { Tokenizer } from "@huggingface/tokenizers";
import { artifactError, inputError, wordsOf } from "../errors.js";

const LETTERS = byteLetters();
const ENCODER = new TextEncoder();
const LONG = 1 << 16; // characters that are encoded in no time
const CUT = 64; // tokens that a cut through a text may add, and many more than it does

/** The spellings of a tokenizer's added tokens. */
export class Spellings {
  private readonly pattern: RegExp;
  readonly openings: ReadonlySet<string>;

  constructor(spellings: Iterable<string>) {
    const longestFirst = [...spellings].filter(Boolean).sort((a, b) => b.length - a.length);
    this.openings = new Set(longestFirst.map((spelling) => String.fromCodePoint(spelling.codePointAt(0)!)));
    this.pattern = new RegExp(longestFirst.map(escaped).join("|") || "(?!)", "g");
  }

  /** Start and end of each spelling in `text`, found as a tokenizer does: leftmost, then longest. */
  spans(text: string): [number, number][] {
    return [...text.matchAll(this.pattern)].map((found) => [found.index, found.index + found[0].length]);
  }

  /** Whether a spelling stands in `text` at this place. */
  begins(text: string, at: number): boolean {
    const sticky = new RegExp(this.pattern.source, "y");
    sticky.lastIndex = at;
    return sticky.test(text);
  }
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");

interface TokenizerFile {
  readonly model?: { readonly type?: string };
  readonly decoder?: { readonly type?: string } | null;
  readonly added_tokens?: readonly { readonly content: string; readonly id: number }[];
}

/** A byte-level BPE tokenizer with added tokens. */
export class ModelTokenizer {
  readonly added: ReadonlyMap<string, number>;
  readonly spellings: Spellings;
  private readonly whole: Tokenizer;
  private readonly plain: Tokenizer;

  /** Read the text of a `tokenizer.json`. Throws an artifact error: malformed, or not byte-level. */
  constructor(json: string) {
    let file: TokenizerFile;
    try {
      file = JSON.parse(json) as TokenizerFile;
      this.whole = new Tokenizer(file, {});
      this.plain = withoutAddedTokens(file, this.whole);
    } catch (error) {
      throw artifactError(`the tokenizer can't be read (${wordsOf(error)}): export the artifact again`, error);
    }
    if (file.decoder?.type !== "ByteLevel") {
      throw artifactError("the tokenizer is not byte-level BPE, the only kind that this engine streams");
    }
    this.added = new Map((file.added_tokens ?? []).map(({ content, id }) => [content, id]));
    this.spellings = new Spellings(this.added.keys());
  }

  /** Ids of `text`, where the spelling of an added token is that token. Throws an input error: half a surrogate pair. */
  encode(text: string): number[] {
    return encode(this.whole, text);
  }

  /** Ids of `text` as mere text: no added token is ever among them. */
  encodePlain(text: string): number[] {
    return encode(this.plain, text);
  }

  /** A number of tokens that `text` has at least; 0 for texts that are encoded in no time. */
  leastTokens(text: string, most: number): number {
    let least = 0;
    for (let start = 0; text.length > LONG && start < text.length && least <= most; start += LONG) {
      least += Math.max(0, this.encode(text.slice(start, start + LONG).toWellFormed()).length - CUT);
    }
    return least;
  }

  /** The text of `ids`, added tokens spelled out. */
  decode(ids: readonly number[]): string {
    const detokenizer = new Detokenizer(this);
    return ids.map((id) => detokenizer.feed(id)).join("") + detokenizer.flush();
  }

  /** The vocabulary's spelling of an id, in byte-level letters; undefined beyond the vocabulary. */
  token(id: number): string | undefined {
    return this.whole.id_to_token(id);
  }
}

function encode(tokenizer: Tokenizer, text: string): number[] {
  if (!text.isWellFormed()) throw inputError("the text is not valid Unicode: read it with its real encoding");
  return text ? tokenizer.encode(text, { add_special_tokens: false }).ids : [];
}

/** A tokenizer that knows no added tokens and has its vocabulary in common with `whole`. */
function withoutAddedTokens(file: TokenizerFile, whole: Tokenizer): Tokenizer {
  const model = { ...file.model, vocab: {}, merges: [] };
  const plain = new Tokenizer({ ...file, model, added_tokens: [] }, {});
  plain.model = whole.model;
  return plain;
}

/** Turns a stream of ids into pieces of text whose sum is the text of all of them. Constant time a token. */
export class Detokenizer {
  private decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(private readonly tokenizer: ModelTokenizer) {}

  /** The characters that are whole with this id; possibly none. */
  feed(id: number): string {
    return this.decoder.decode(tokenBytes(this.tokenizer.token(id) ?? ""), { stream: true });
  }

  /** What is still held: a replacement character if the last character never became whole. */
  flush(): string {
    return this.decoder.decode();
  }
}

/** The bytes that a vocabulary entry stands for; an added token outside the letters stands for its own UTF-8. */
function tokenBytes(spelling: string): Uint8Array {
  const bytes = new Uint8Array(spelling.length);
  for (let at = 0; at < spelling.length; at++) {
    const byte = LETTERS.get(spelling[at]!);
    if (byte === undefined) return ENCODER.encode(spelling);
    bytes[at] = byte;
  }
  return bytes;
}

/** GPT-2's letters: printable Latin-1 bytes are themselves, the others take code points from 256 on. */
function byteLetters(): Map<string, number> {
  const letters = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte < 0x100 && byte !== 0xad);
    letters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return letters;
}

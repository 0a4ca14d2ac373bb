/** Ids to text while they come: byte-level letters to bytes, bytes to characters, none of them half. */

const LETTERS = byteLetters();
const ENCODER = new TextEncoder();

/** What gives the vocabulary's spelling of an id, in byte-level letters; undefined beyond the vocabulary. */
export interface Spells {
  token(id: number): string | undefined;
}

/** Turns a stream of ids into pieces of text whose sum is the text of all of them. Constant time a token. */
export class Detokenizer {
  private decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(private readonly vocabulary: Spells) {}

  /** The characters that are whole with this id; possibly none. */
  feed(id: number): string {
    return this.decoder.decode(tokenBytes(this.vocabulary.token(id) ?? ""), { stream: true });
  }

  /** What is still held: a replacement character if the last character never became whole. */
  flush(): string {
    return this.decoder.decode();
  }
}

/** The bytes that a vocabulary entry stands for; an added token outside the letters stands for its own UTF-8. */
export function tokenBytes(spelling: string): Uint8Array {
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

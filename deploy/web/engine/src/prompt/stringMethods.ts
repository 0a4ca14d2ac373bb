/**
 * Python's methods of str as templates call them, on texts whose letters may be swapped: a text answers as its plain one
 * would, and its parts stay swapped. The template engine's own leave arguments out: `strip('\n')` would strip blanks too.
 */

/** Gives a text its own letters again; as long as before. */
export type Unmark = (text: string) => string;
type Argument = string | number | null | undefined;
type Result = string | boolean | number | string[];

// What Python's str.strip takes away: https://docs.python.org/3/library/stdtypes.html#str.isspace
const SPACE = new Set([..."\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000", ...range("\u2000", "\u200a")]);

function range(first: string, last: string): string[] {
  const [from, to] = [first.charCodeAt(0), last.charCodeAt(0)];
  return Array.from({ length: to - from + 1 }, (_, at) => String.fromCharCode(from + at));
}

const METHODS: Readonly<Record<string, (text: string, unmark: Unmark, a: Argument, b: Argument, c: Argument) => Result>> = {
  strip: (text, unmark, letters) => text.slice(left(unmark(text), letters), right(unmark(text), letters)),
  lstrip: (text, unmark, letters) => text.slice(left(unmark(text), letters)),
  rstrip: (text, unmark, letters) => text.slice(0, right(unmark(text), letters, 0)),
  startswith: (text, unmark, part) => unmark(text).startsWith(unmark(String(part))),
  endswith: (text, unmark, part) => unmark(text).endsWith(unmark(String(part))),
  find: (text, unmark, part) => unmark(text).indexOf(unmark(String(part))),
  rfind: (text, unmark, part) => unmark(text).lastIndexOf(unmark(String(part))),
  removeprefix: (text, unmark, part) => text.slice(unmark(text).startsWith(unmark(String(part))) ? String(part).length : 0),
  removesuffix: (text, unmark, part) =>
    unmark(text).endsWith(unmark(String(part))) ? text.slice(0, text.length - String(part).length) : text,
  split: (text, unmark, separator, most) => split(text, unmark, separator, most),
  replace: (text, unmark, old, by, most) => split(text, unmark, String(old), most).join(String(by)),
  partition: (text, unmark, part) => parted(text, unmark(text).indexOf(unmark(String(part))), String(part), false),
  rpartition: (text, unmark, part) => parted(text, unmark(text).lastIndexOf(unmark(String(part))), String(part), true),
};

export const METHOD_NAMES: ReadonlySet<string> = new Set(Object.keys(METHODS));

/** What `text.name(...args)` is in Python. */
export function callMethod(name: string, text: string, unmark: Unmark, args: readonly Argument[]): Result {
  return METHODS[name]!(text, unmark, args[0], args[1], args[2]);
}

const strips = (letters: Argument): ((letter: string) => boolean) =>
  typeof letters === "string" ? (letter) => letters.includes(letter) : (letter) => SPACE.has(letter);

function left(plain: string, letters: Argument): number {
  const stripped = strips(letters);
  let at = 0;
  while (at < plain.length && stripped(plain[at]!)) at++;
  return at;
}

function right(plain: string, letters: Argument, least = left(plain, letters)): number {
  const stripped = strips(letters);
  let at = plain.length;
  while (at > least && stripped(plain[at - 1]!)) at--;
  return at;
}

function split(text: string, unmark: Unmark, separator: Argument, most: Argument): string[] {
  const plain = unmark(text);
  const limit = typeof most === "number" && most >= 0 ? most : Infinity;
  const cuts = typeof separator === "string" ? cutsAt(plain, unmark(separator)) : cutsAtSpace(plain);
  const parts: string[] = [];
  let at = typeof separator === "string" ? 0 : left(plain, null);
  for (const [start, end] of cuts) {
    if (parts.length >= limit) break;
    parts.push(text.slice(at, start));
    at = end;
  }
  if (typeof separator === "string" || at < plain.length) parts.push(text.slice(at));
  return parts;
}

function cutsAt(plain: string, separator: string): [number, number][] {
  if (!separator) throw new Error("empty separator");
  const cuts: [number, number][] = [];
  for (let at = plain.indexOf(separator); at >= 0; at = plain.indexOf(separator, at + separator.length)) {
    cuts.push([at, at + separator.length]);
  }
  return cuts;
}

function cutsAtSpace(plain: string): [number, number][] {
  const cuts: [number, number][] = [];
  for (let at = left(plain, null); at < plain.length; at++) {
    if (!SPACE.has(plain[at]!)) continue;
    const end = at + left(plain.slice(at), null);
    cuts.push([at, end]);
    at = end - 1;
  }
  return cuts;
}

function parted(text: string, at: number, part: string, last: boolean): string[] {
  if (at < 0) return last ? ["", "", text] : [text, "", ""];
  return [text.slice(0, at), text.slice(at, at + part.length), text.slice(at + part.length)];
}

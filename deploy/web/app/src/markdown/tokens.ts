/**
 * Markdown (GitHub's kind, by marked) and formulas, read into tokens. HTML is a token of text like any other: nothing
 * that a model writes is ever parsed as a page.
 */

import { Lexer, Marked, type Token, type TokenizerExtension, type Tokens, type TokensList } from "marked";

export interface FormulaToken {
  type: "formula";
  raw: string;
  text: string;
  display: boolean;
}

// Its end is looked for in 5,000 characters: one that never closes would have all that follows read again at each line.
const BLOCK = /^ {0,3}(?:\$\$([\s\S]{1,5000}?)\$\$|\\\[([\s\S]{1,5000}?)\\\])[ \t]*(?:\n|$)/;
// A dollar sign opens a formula if no blank follows, and closes it if none precedes and no digit follows: $5 and $6 stay.
const INLINE = [
  { display: true, rule: /^\$\$([^$]+?)\$\$/ },
  { display: true, rule: /^\\\[([\s\S]+?)\\\]/ },
  { display: false, rule: /^\\\(([\s\S]+?)\\\)/ },
  { display: false, rule: /^\$(?!\s)((?:\\.|[^$\\\n])+?)(?<!\s)\$(?!\d)/ },
];

const block: TokenizerExtension = {
  name: "formula",
  level: "block",
  start: beginOfBlock,
  tokenizer(source) {
    const found = BLOCK.exec(source);
    if (!found) return undefined;
    return { type: "formula", raw: found[0], text: (found[1] ?? found[2] ?? "").trim(), display: true };
  },
};

const inline: TokenizerExtension = {
  name: "formula",
  level: "inline",
  start: (source) => beginOf(source, /\$|\\\(|\\\[/),
  tokenizer(source) {
    for (const { display, rule } of INLINE) {
      const found = rule.exec(source);
      if (found) return { type: "formula", raw: found[0], text: (found[1] ?? "").trim(), display };
    }
    return undefined;
  },
};

/** Where a paragraph ends since a formula follows; one that never closes ends none, which would be read line by line. */
function beginOfBlock(source: string): number | undefined {
  const paragraph = source.slice(0, beginOf(source, /\n[ \t]*\n/) ?? source.length);
  for (const { index } of paragraph.matchAll(/\n {0,3}(?:\$\$|\\\[)/g)) if (BLOCK.test(source.slice(index + 1))) return index;
  return undefined;
}

function beginOf(source: string, rule: RegExp): number | undefined {
  const at = source.search(rule);
  return at < 0 ? undefined : at;
}

const reader = new Marked({ gfm: true, breaks: true, extensions: [block, inline] });

// A star between digits is a product and opens no emphasis, whatever comes later: 6*7=42 and 8*7=56.
reader.use({
  tokenizer: {
    emStrong: (source, _, before = "") => (/^\*+\d/.test(source) && /\d$/.test(before) ? undefined : false),
  },
});

const DEEPEST = 20; // quotes, lists and emphases within each other
const LONGEST = 5_000; // characters of one paragraph: what reads it looks back at all of it again and again

/** Reads no deeper and no longer than people write: the rest is text. Models repeat themselves without end. */
class BoundedLexer extends Lexer {
  private depth = 0;

  override blockTokens(source: string, tokens: Token[] = [], last?: boolean): TokensList {
    return this.bounded(source, tokens, Infinity, () => super.blockTokens(source, tokens, last)) as TokensList;
  }

  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    return this.bounded(source, tokens, LONGEST, () => super.inlineTokens(source, tokens));
  }

  private bounded(source: string, tokens: Token[], most: number, read: () => Token[]): Token[] {
    if (this.depth >= DEEPEST || source.length > most) {
      tokens.push({ type: "text", raw: source, text: source, escaped: false });
      return tokens;
    }
    this.depth += 1;
    try {
      return read();
    } finally {
      this.depth -= 1;
    }
  }
}

export function tokensOf(markdown: string): Token[] {
  return new BoundedLexer(reader.defaults).lex(markdown);
}

/** Where a list, a quote or a table begins: by its first letter, as `dir=auto` does for a text that lies in the element itself. */
export const directionOf = (text: string): "ltr" | "rtl" =>
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u.test(/\p{L}/u.exec(text)?.[0] ?? "") ? "rtl" : "ltr";

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Text with the few character references that models write, as characters. */
export function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,5}));/gi, (whole, decimal, hex, name) => {
    if (name) return NAMED[String(name).toLowerCase()] ?? whole;
    const code = decimal ? Number(decimal) : Number.parseInt(String(hex), 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** An address that a click may open: the web and mail only, never a script or a file. */
export function safeAddress(address: string): string | null {
  try {
    const { protocol, href } = new URL(address);
    return ["http:", "https:", "mailto:"].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

export type { Token, Tokens };

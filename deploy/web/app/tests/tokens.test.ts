import { describe, expect, it } from "vitest";
import { decoded, directionOf, safeAddress, tokensOf, type FormulaToken, type Token } from "../src/markdown/tokens";

function formulas(text: string): [string, boolean][] {
  const found: [string, boolean][] = [];
  const walk = (token: Token): void => {
    if (token.type === "formula") {
      const { text, display } = token as unknown as FormulaToken;
      found.push([text, display]);
    }
    const { tokens = [], items = [] } = token as { tokens?: Token[]; items?: Token[] };
    [...tokens, ...items].forEach(walk);
  };
  tokensOf(text).forEach(walk);
  return found;
}

describe("directions", () => {
  it.each([
    ["- بند\n- two", "rtl"],
    ["1. **שתיים**", "rtl"],
    ["> 12: words, then כאן", "ltr"],
    ["| - | 3 |", "ltr"],
  ])("%j begins at the side of its first letter", (text, side) => expect(directionOf(text)).toBe(side));
});

describe("formulas", () => {
  it.each([
    ["a $x^2$ b", [["x^2", false]]],
    ["a \\(x_1\\) b", [["x_1", false]]],
    ["$$\nx\n$$", [["x", true]]],
    ["text\n\\[\n\\frac{1}{2}\n\\]\nmore", [["\\frac{1}{2}", true]]],
    ["- one $a$\n- two", [["a", false]]],
    ["so $$y$$ holds", [["y", true]]],
  ])("are found in %j", (text, expected) => expect(formulas(text)).toEqual(expected));

  it.each(["it costs $5 and $6", "`$x$`", "```\n$x$\n```", "a $ b $ c", "half a $$ formula", "US$5-$10"])(
    "are not seen in %j",
    (text) => expect(formulas(text)).toEqual([]),
  );
});

describe("addresses", () => {
  it.each(["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "/relative", "JaVaScRiPt:x"])(
    "%s opens nothing",
    (address) => expect(safeAddress(address)).toBeNull(),
  );

  it("of the web and of mail open", () => {
    expect(safeAddress("https://example.com/a")).toBe("https://example.com/a");
    expect(safeAddress("mailto:ada@example.com")).toBe("mailto:ada@example.com");
  });
});

it("character references become characters once, and unknown ones stay", () => {
  expect(decoded("a &lt;b&gt; &amp;lt; &#65;&#x42; &nope; &#9999999;")).toBe("a <b> &lt; AB &nope; &#9999999;");
});

it("a product of numbers is no emphasis, and emphasis still is", () => {
  const kinds = (text: string): string[] => {
    const found: string[] = [];
    const walk = (token: Token): void => {
      found.push(token.type);
      ((token as { tokens?: Token[] }).tokens ?? []).forEach(walk);
    };
    tokensOf(text).forEach(walk);
    return found;
  };
  expect(kinds("6*7=42 and 8*7=56")).not.toContain("em");
  expect(kinds("6**7 and 8**7")).not.toContain("strong");
  expect(kinds("*so* and **so**, 2*x* too")).toEqual(expect.arrayContaining(["em", "strong"]));
});

describe("what a model repeats without end", () => {
  const depth = (token: Token): number => {
    const { tokens = [], items = [] } = token as { tokens?: Token[]; items?: Token[] };
    return 1 + Math.max(0, ...[...tokens, ...items].map(depth));
  };

  it.each([
    ["quotes", ">".repeat(20_000)],
    ["numbers of lists", "1. ".repeat(10_000)],
    ["lists", Array.from({ length: 300 }, (_, at) => `${"  ".repeat(at)}- a`).join("\n")],
    ["brackets", "[".repeat(50_000)],
  ])("is read without going deeper and deeper: %s", (_, text) => {
    const tokens = tokensOf(text);
    expect(Math.max(...tokens.map(depth))).toBeLessThan(50);
    expect(tokens.map(({ raw }) => raw).join("").trimEnd()).toBe(text.trimEnd());
  });

  it.each([["$$", "$$"], ["\\[", "\\]"]])("has the end of a formula looked for no further than one is long: %s", (open, close) => {
    const kinds = (length: number): string[] => tokensOf(`${open}\n${"x + ".repeat(length / 4)}y\n${close}`).map(({ type }) => type);
    expect(kinds(4_000)).toEqual(["formula"]);
    expect(kinds(400_000)).toEqual(["paragraph"]);
    const slow = performance.now();
    tokensOf(`${open}a\n`.repeat(8_000).trimEnd());
    expect(performance.now() - slow).toBeLessThan(4_000);
  });

  it("is text where a paragraph is longer than people write, and what follows is read", () => {
    const [long, , after] = tokensOf(`${"_a_b".repeat(5_000)}\n\n**bold**`) as { tokens?: Token[] }[];
    expect(long?.tokens?.map(({ type }) => type)).toEqual(["text"]);
    expect(after?.tokens?.map(({ type }) => type)).toEqual(["strong"]);
  });
});

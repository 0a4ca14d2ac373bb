import { expect, it } from "vitest";
import { otherInWords } from "../src/view/figures";

it.each([
  [null, "Another thought · 67 tokens · stopped before its answer"],
  ["4902\n", "Another thought and its answer · 67 tokens · 4902"],
  ["First.\n\nSecond.", "Another thought and its answer · 67 tokens · First.…"],
  ["a".repeat(900), `Another thought and its answer · 67 tokens · ${"a".repeat(60)}…`],
])("a thought that answered %j is told in one line, which says what its tokens are of", (answer, words) => {
  expect(otherInWords({ thought: "hm", tokens: 67, answer })).toBe(words);
});

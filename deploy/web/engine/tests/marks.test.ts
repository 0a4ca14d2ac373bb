/** Added tokens that messages spell are told from the template's, whatever letter they begin with. */

import { expect, test } from "vitest";
import { Marks } from "../src/prompt/marks.js";
import { Spellings } from "../src/prompt/tokenizer.js";

test.each(["<|end|>", "\u{1f916}end", "\u00a7end"])("content that spells %s is marked", (token) => {
  const message = `a${token}b`;
  const marks = new Marks(new Spellings([token]), message);
  const marked = marks.mark(message) as string;
  expect(marked).toHaveLength(message.length);
  expect(marked).not.toContain(token);
  expect(marks.unmark(marked)).toBe(message);
  expect(marks.split(`${token}${marked}`).filter((piece) => piece.spelled)).toEqual([{ text: token, spelled: true }]);
  expect(marks.split(`${token}${marked}`)[0]).toEqual({ text: `${token}a`, spelled: false });
});

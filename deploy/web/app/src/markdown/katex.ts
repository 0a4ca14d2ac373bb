/** KaTeX and its fonts, loaded when the first formula shows. */

import katex from "katex";
import "katex/dist/katex.min.css";

// `trust` off: no links, images or styles of a formula's own. The limits end formulas that would grow without end.
const OPTIONS = { trust: false, strict: "ignore", maxExpand: 500, maxSize: 20, throwOnError: true } as const;

const MOST = 5_000; // characters

/** Draw a formula into an element; returns whether it is one. */
export function drawFormula(text: string, into: HTMLElement, display: boolean): boolean {
  if (text.length > MOST) return false;
  try {
    katex.render(text, into, { ...OPTIONS, displayMode: display });
    return true;
  } catch {
    into.replaceChildren();
    return false;
  }
}

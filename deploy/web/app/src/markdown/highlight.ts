/** Colours of code by lowlight (highlight.js as a tree, so that no HTML is made). Loaded when code first shows. */

import { common, createLowlight } from "lowlight";

const lowlight = createLowlight(common);

/** What the root of a tree holds, of which a node is a text or an element with a class. */
export type Nodes = ReturnType<typeof lowlight.highlight>["children"];

/** The tree of a code in a language; null where the language is unknown. */
export const highlighted = (text: string, language: string): Nodes | null =>
  lowlight.registered(language) ? lowlight.highlight(language, text).children : null;

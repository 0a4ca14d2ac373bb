/** Colours of code by lowlight (highlight.js as a tree, so that no HTML is made). Loaded when code first shows. */

import { common, createLowlight } from "lowlight";

export type Part = string | { kind: string; parts: Part[] };

interface TreeNode {
  type: string;
  value?: string;
  properties?: { className?: unknown };
  children?: TreeNode[];
}

const lowlight = createLowlight(common);

/** The parts of a code in a language; null where the language is unknown. */
export function highlighted(text: string, language: string): Part[] | null {
  if (!lowlight.registered(language)) return null;
  return partsOf(lowlight.highlight(language, text) as TreeNode);
}

function partsOf(node: TreeNode): Part[] {
  return (node.children ?? []).map((child) => {
    if (child.type === "text") return child.value ?? "";
    const names = child.properties?.className;
    return { kind: Array.isArray(names) ? names.join(" ") : "", parts: partsOf(child) };
  });
}

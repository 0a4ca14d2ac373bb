/** A block of code with its language and a button that copies it; colours come once their library is there. */

import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "../view/CopyButton";
import type { Nodes } from "./highlight";

const MOST = 20_000; // characters that are coloured

export function Code({ text, language }: { text: string; language: string }) {
  const name = language.trim().split(/\s+/)[0]?.toLowerCase() ?? "";
  const parts = useHighlighted(text, name);
  return (
    <figure class="code" dir="ltr">
      <figcaption>
        <span>{name || "text"}</span>
        <CopyButton text={text} what="Copy the code" />
      </figcaption>
      <pre tabIndex={0} aria-label={`Code${name ? `, ${name}` : ""}`}>
        <code>{parts ? parts.map(coloured) : text}</code>
      </pre>
    </figure>
  );
}

function useHighlighted(text: string, language: string): Nodes | null {
  const [highlight, setHighlight] = useState<((text: string, language: string) => Nodes | null) | null>(null);
  const wanted = language !== "" && text.length <= MOST;
  useEffect(() => {
    if (wanted) import("./highlight").then((loaded) => setHighlight(() => loaded.highlighted), () => undefined);
  }, [wanted]);
  return wanted && highlight ? highlight(text, language) : null;
}

function coloured(node: Nodes[number]): ComponentChildren {
  if (node.type === "element") return <span class={[node.properties.className].flat().join(" ")}>{node.children.map(coloured)}</span>;
  return node.type === "text" ? node.value : null;
}

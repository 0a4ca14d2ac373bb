/** A button that copies a text, and says that it did. */

import { useState } from "preact/hooks";
import { Icon } from "./Icon";

const SHOWN = 1800; // ms

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState<"copied" | "failed" | null>(null);
  const copy = async () => {
    setDone((await copyText(text)) ? "copied" : "failed");
    setTimeout(() => setDone(null), SHOWN);
  };
  const said = done === "copied" ? "Copied" : done === "failed" ? "Could not copy" : what;
  return (
    <button type="button" class="quiet" aria-label={said} title={said} onClick={() => void copy()}>
      <Icon name={done === "copied" ? "check" : "copy"} />
    </button>
  );
}

/** Copy a text, in a secure context or in none, where the clipboard's own interface is missing; returns whether it worked. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "off-screen";
  const before = document.activeElement;
  // In an open dialog only what is inside can have the focus.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}

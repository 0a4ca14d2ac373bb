/** A button that copies a text, and says that it did. */

import { useState } from "preact/hooks";
import { copyText } from "./clipboard";
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

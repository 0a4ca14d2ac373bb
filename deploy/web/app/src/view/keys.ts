/** Keys that work wherever the focus is, and the one that sends a message. */

import type { Talk } from "../conversation/talk";
import type { Panels } from "./panels";

export function listenToKeys(talk: Talk, panels: Panels): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) void talk.run.value?.stop();
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      talk.library.begin();
      panels.chosen();
    }
  });
}

/** Whether a key sends what is written. A touch screen's Enter begins a line: its keyboard has no Shift+Enter. */
export function sends(event: KeyboardEvent): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && !matchMedia("(pointer: coarse)").matches;
}

/** Keys that work wherever the focus is. */

import type { Talk } from "../conversation/talk";
import type { Panels } from "./panels";

export function listenToKeys(talk: Talk, panels: Panels): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) void talk.run.value?.stop();
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      talk.library.begin();
      panels.chosen();
    }
  });
}

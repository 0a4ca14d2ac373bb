/** What every view may use, made once. */

import { signal } from "@preact/signals";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Talk } from "../conversation/talk";
import { Connection } from "../transport/connection";
import type { Transport } from "../transport/transport";
import { inWords } from "../transport/trouble";
import type { Host } from "../window/host";

/** Which parts of the page beside the conversation are open. */
export class Panels {
  private readonly narrow = matchMedia("(max-width: 56rem)");
  readonly sidebar = signal(!this.narrow.matches);
  readonly settings = signal(false);
  /** What went wrong with something other than a reply. */
  readonly notice = signal<string | null>(null);

  constructor() {
    this.narrow.addEventListener("change", ({ matches }) => (this.sidebar.value = !matches));
  }

  /** Show why something that was asked for did not work. */
  attempt(work: Promise<unknown>): void {
    work.catch((error: unknown) => (this.notice.value = inWords(error)));
  }

  /** On a narrow page the list covers the conversation: it goes once something was chosen. */
  chosen(): void {
    if (this.narrow.matches) this.sidebar.value = false;
  }
}

export interface Page {
  talk: Talk;
  host: Host;
  panels: Panels;
}

/** A page whose replies come from a transport, with the conversations that its host keeps; it begins to look for the model. */
export async function pageOf(transport: Transport, host: Host): Promise<Page> {
  const talk = new Talk(new Connection(transport));
  const panels = new Panels();
  await talk.library.use(await host.store(), (id) => talk.runs.value.has(id));
  host.opened = () => void talk.connection.ask();
  talk.connection.start();
  listenToKeys(talk, panels);
  return { talk, host, panels };
}

/** Keys that work wherever the focus is. */
function listenToKeys(talk: Talk, panels: Panels): void {
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

const PageContext = createContext<Page | null>(null);
export const PageProvider = PageContext.Provider;

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error("a view stands outside the page");
  return page;
}

/** What every view may use, made once. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Talk } from "../conversation/talk";
import { Connection } from "../transport/connection";
import type { Transport } from "../transport/transport";
import type { Host } from "../window/host";
import { listenToKeys } from "./keys";
import { Panels } from "./panels";

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

const PageContext = createContext<Page | null>(null);
export const PageProvider = PageContext.Provider;

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error("a view stands outside the page");
  return page;
}

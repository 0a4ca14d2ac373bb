/** What every view may use, given once by `main.tsx`. */

import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Talk } from "../conversation/talk";
import type { Host } from "../window/host";
import type { Panels } from "./panels";

export interface Page {
  talk: Talk;
  host: Host;
  panels: Panels;
}

const PageContext = createContext<Page | null>(null);
export const PageProvider = PageContext.Provider;

export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error("a view stands outside the page");
  return page;
}

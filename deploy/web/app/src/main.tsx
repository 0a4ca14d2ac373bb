/** Puts the page together: where replies come from, what is around the page, and what it shows. */

import { render } from "preact";
import { Talk } from "./conversation/talk";
import "./style/base.css";
import "./style/page.css";
import "./style/thread.css";
import "./style/markdown.css";
import "./style/panels.css";
import { Connection } from "./transport/connection";
import { ServerTransport } from "./transport/server";
import { App } from "./view/App";
import { PageProvider } from "./view/context";
import { listenToKeys } from "./view/keys";
import { Panels } from "./view/panels";
import { hostOfPage } from "./window/window_host";

async function main(): Promise<void> {
  const host = hostOfPage();
  const talk = new Talk(new Connection(new ServerTransport()));
  const panels = new Panels();
  await talk.library.use(await host.store(), (id) => talk.runs.value.has(id));
  host.opened = () => void talk.connection.ask();
  talk.connection.start();
  listenToKeys(talk, panels);
  const root = document.getElementById("app");
  if (root) render(<PageProvider value={{ talk, host, panels }}><App /></PageProvider>, root);
}

void main();

/** Puts a static site's page together: the model comes first, then the page that speaks to it. */

import { effect, signal } from "@preact/signals";
import { render } from "preact";
import type { Model } from "@thinkport/engine";
import { Talk } from "../conversation/talk";
import "../style/base.css";
import "../style/page.css";
import "../style/thread.css";
import "../style/markdown.css";
import "../style/panels.css";
import "./site.css";
import { Connection } from "../transport/connection";
import { EngineTransport } from "../transport/engine";
import { App } from "../view/App";
import { type Page, PageProvider } from "../view/context";
import { listenToKeys } from "../view/keys";
import { Panels } from "../view/panels";
import { Gate } from "./Gate";
import { Site } from "./site";
import { SiteHost } from "./site_host";

const site = new Site();
const page = signal<Page | null>(null);

function Root() {
  return page.value !== null && site.state.value.kind === "ready" ? <PageProvider value={page.value}><App /></PageProvider> : <Gate site={site} />;
}

/** The page of a model, which is opened once: another one comes by loading the page again. */
async function pageOf(model: Model, name: string): Promise<Page> {
  const host = new SiteHost(site);
  const talk = new Talk(new Connection(new EngineTransport(name, Promise.resolve(model))));
  const panels = new Panels();
  await talk.library.use(await host.store(), (id) => talk.runs.value.has(id));
  talk.connection.start();
  listenToKeys(talk, panels);
  return { talk, host, panels };
}

effect(() => {
  const state = site.state.value;
  if (state.kind !== "ready" || page.peek() !== null) return;
  pageOf(state.model, state.name).then(
    (made) => (page.value = made),
    (error: unknown) => site.fail(error),
  );
});

const root = document.getElementById("app");
if (root) render(<Root />, root);
void site.start();

/** Puts a static site's page together: the model comes first, then the page that speaks to it. */

import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { EngineTransport } from "../transport/engine";
import { App } from "../view/App";
import { type Page, PageProvider, pageOf } from "../view/context";
import { Host } from "../window/host";
import { Gate } from "./Gate";
import { KeptModel } from "./KeptModel";
import { News } from "./NewVersion";
import { Site } from "./site";
import "./site.css";

const site = new Site();
const page = signal<Page | null>(null);

function Root() {
  return page.value !== null && site.state.value.kind === "ready" ? <PageProvider value={page.value}><App /></PageProvider> : <Gate site={site} />;
}

// The page of a model, which is opened once: another one comes by loading the page again.
effect(() => {
  const state = site.state.value;
  if (state.kind !== "ready" || page.peek() !== null) return;
  const host = new Host(() => <KeptModel site={site} />, () => <News site={site} />);
  pageOf(new EngineTransport(state.name, Promise.resolve(state.model)), host).then(
    (made) => (page.value = made),
    (error: unknown) => site.fail(error),
  );
});

const root = document.getElementById("app");
if (root) render(<Root />, root);
void site.start();

/** The page over the engine: an artifact at `/model/`, in a worker. The address may hold a provider and a delay of loading. */

import { render } from "preact";
import { openInWorker } from "../../../engine/src/web/index.js";
import { Talk } from "../../src/conversation/talk";
import "../../src/style/base.css";
import "../../src/style/page.css";
import "../../src/style/thread.css";
import "../../src/style/markdown.css";
import "../../src/style/panels.css";
import { Connection } from "../../src/transport/connection";
import { EngineTransport } from "../../src/transport/engine";
import { App } from "../../src/view/App";
import { PageProvider } from "../../src/view/context";
import { listenToKeys } from "../../src/view/keys";
import { Panels } from "../../src/view/panels";
import { BrowserHost } from "../../src/window/host";

const provider = new URLSearchParams(location.search).get("provider") === "webgpu" ? "webgpu" : "wasm";
const worker = new Worker(new URL("../../../engine/src/worker/worker.ts", import.meta.url), { type: "module" });
const model = openInWorker(worker, { source: { kind: "http", url: "/model/" }, ort: "/ort/", provider });
const host = new BrowserHost();
const talk = new Talk(new Connection(new EngineTransport("nano", model)));
const panels = new Panels();
await talk.library.use(await host.store(), (id) => talk.runs.value.has(id));
talk.connection.start();
listenToKeys(talk, panels);
render(<PageProvider value={{ talk, host, panels }}><App /></PageProvider>, document.getElementById("app")!);
Object.assign(globalThis, { talk, ready: true });

/** The page over the engine: an artifact at `/model/`, in a worker. The address may hold a provider and a delay of loading. */

import { render } from "preact";
import { openInWorker } from "../../../engine/src/web/index.js";
import { EngineTransport } from "../../src/transport/engine";
import { App } from "../../src/view/App";
import { PageProvider, pageOf } from "../../src/view/context";
import { Host } from "../../src/window/host";

const provider = new URLSearchParams(location.search).get("provider") === "webgpu" ? "webgpu" : "wasm";
const worker = new Worker(new URL("../../../engine/src/worker/worker.ts", import.meta.url), { type: "module" });
const model = openInWorker(worker, { source: { kind: "http", url: "/model/" }, ort: "/ort/", provider });
const page = await pageOf(new EngineTransport("nano", model), new Host());
render(<PageProvider value={page}><App /></PageProvider>, document.getElementById("app")!);
Object.assign(globalThis, { talk: page.talk, ready: true });

/** The engine in Node and Electron: `openModel` over a folder, with onnxruntime-node. */

import { homedir } from "node:os";
import { join } from "node:path";
import type { Store } from "../artifact/store.js";
import type { Ort } from "../engine/ort.js";
import { unavailableError, wordsOf } from "../errors.js";
import type { Model } from "../model.js";
import { openModel, type OpenOptions } from "../openModel.js";
import { FolderSource, FolderStore } from "./folders.js";
import { NodeRuntime } from "./nodeRuntime.js";

export * from "../index.js";
export { openModel, type OpenOptions } from "../openModel.js";
export { FolderSource, FolderStore } from "./folders.js";
export { NodeRuntime } from "./nodeRuntime.js";

/** Options of `openFolder`. `threads`: left out, ONNX Runtime takes the machine's cores. */
export type FolderOptions = Omit<OpenOptions, "source" | "runtimes"> & { readonly threads?: number };

/** Open an artifact in a folder of this machine. What is found out of it is kept in the user's cache folder. */
export async function openFolder(folder: string, { threads, ...options }: FolderOptions = {}): Promise<Model> {
  const runtime = new NodeRuntime(await ortNode(), threads ?? null);
  return openModel({ store: userStore(), ...options, source: new FolderSource(folder), runtimes: [runtime] });
}

/** Where verdicts are kept between programs. */
export function userStore(): Store {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  const mac = process.platform === "darwin" ? join(homedir(), "Library", "Caches") : null;
  const cache = XDG_CACHE_HOME ?? LOCALAPPDATA ?? mac ?? join(homedir(), ".cache");
  return new FolderStore(join(cache, "thinkport", "engine"));
}

async function ortNode(): Promise<Ort> {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  try {
    const loaded = (await import("onnxruntime-node")) as unknown as { default?: Ort } & Ort;
    return loaded.default ?? loaded;
  } catch (error) {
    throw unavailableError(`onnxruntime-node can't be loaded (${wordsOf(error)}): npm install onnxruntime-node`, error);
  }
}

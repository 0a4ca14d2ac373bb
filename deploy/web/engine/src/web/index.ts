/** The engine in a browser: runtimes over onnxruntime-web, artifacts over HTTP or in the browser's file system. */

export * from "../index.js";
export * from "../pieces/index.js";
export { openModel, type OpenOptions } from "../openModel.js";
export { type OpenRequest, type SourceRequest } from "../worker/protocol.js";
export { openInWorker } from "../worker/workerModel.js";
export { GpuRuntime, type GpuLimits, limitsOf } from "./gpuRuntime.js";
export { IndexedStore } from "./indexedStore.js";
export { HttpSource, OpfsSource } from "./sources.js";
export { type WasmOptions, WasmRuntime } from "./wasmRuntime.js";

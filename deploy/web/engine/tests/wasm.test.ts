/** What WebAssembly's memory takes. */

import { expect, test, vi } from "vitest";
import type { Graph, ModelShape } from "../src/artifact/manifest.js";
import type { OnnxFile } from "../src/artifact/onnxFile.js";
import type { Loading } from "../src/engine/runtime.js";
import { WasmRuntime } from "../src/web/wasmRuntime.js";

const MODEL = { layers: 28, kv_heads: 8, head_dim: 128, context_length: 40_960 } as unknown as ModelShape; // a Qwen3 of 0.6B
const GRAPH = { file: "cpu.onnx", kv: { dtype: "int8" } } as unknown as Graph;
const ort = { env: { wasm: {}, versions: {} }, InferenceSession: { create: async () => ({}) }, Tensor: class {} } as never;

function graphOf(bytes: number): OnnxFile {
  const onnx = { bytes: new Uint8Array(), external: [{ location: "weights.bin", offset: 0, bytes }], locations: [], withRequired: () => onnx, withNarrowProducts: () => onnx };
  return onnx as unknown as OnnxFile;
}

test("a conversation ends where the memory beside the weights does, and a model without room for one is refused", async () => {
  const runtime = new WasmRuntime(ort);
  const contextOf = async (bytes: number, context: number): Promise<number> => {
    const loading = { graph: GRAPH, model: MODEL, onnx: graphOf(bytes), weights: [], context } as unknown as Loading;
    return (await runtime.load(loading)).contextLength;
  };
  expect(runtime.refusal(GRAPH, MODEL, graphOf(506e6))).toBeNull();
  expect(await contextOf(506e6, MODEL.context_length)).toBe(Math.floor((2 ** 32 - 2 ** 28 - 506e6) / (2 * 57_344)));
  expect(await contextOf(506e6, 4096)).toBe(4096);
  expect(runtime.refusal(GRAPH, MODEL, graphOf(4.02e9))).toMatch(/weights have 4020000000 bytes, beside which no KV cache of 256 tokens fits/);
});

test("threads need a page that is isolated and a browser with shared memory, which WebKitGTK isolates pages without", () => {
  const threadsWith = (globals: object): number => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
    const { threads } = new WasmRuntime(ort, { threads: 3 });
    vi.unstubAllGlobals();
    return threads;
  };
  expect(threadsWith({ crossOriginIsolated: true })).toBe(3);
  expect(threadsWith({ crossOriginIsolated: true, SharedArrayBuffer: undefined })).toBe(1);
  expect(threadsWith({})).toBe(1);
});

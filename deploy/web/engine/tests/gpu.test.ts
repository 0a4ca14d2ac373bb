/** Which graphs a GPU's limits allow. */

import { expect, test } from "vitest";
import type { Graph } from "../src/artifact/manifest.js";
import { KvShape } from "../src/engine/kvCache.js";
import { graphsForGpu, refusalOf, tokensIn } from "../src/web/gpuRuntime.js";
import { manifest } from "./nano.js";

const usable = { fused: true, several_tokens_over_past: true, prefill_chunk: 31, providers: ["WebGpuExecutionProvider"] };
const graph = (file: string, dtype: string, more: object = {}): Graph =>
  ({ ...usable, file, kv: { dtype, in_place: true }, activations: dtype, ...more }) as unknown as Graph;
const GRAPHS = [
  graph("cpu.onnx", "int8", { providers: ["CPUExecutionProvider"], activations: "float32" }),
  graph("cpu-float32-kv.onnx", "float32", { providers: ["CPUExecutionProvider"] }),
  graph("cuda.onnx", "float16", { providers: ["CUDAExecutionProvider"] }),
  graph("webgpu.onnx", "float16"),
  graph("webgpu-float32.onnx", "float32"),
];

test("graphs are chosen by the types of the device", () => {
  const files = (float16: boolean): string[] => graphsForGpu(GRAPHS, { float16, buffer: 2 ** 27 }).map((one) => one.file);
  expect(files(true)).toEqual(["webgpu.onnx", "webgpu-float32.onnx", "cpu-float32-kv.onnx"]);
  expect(files(false)).toEqual(["webgpu-float32.onnx", "cpu-float32-kv.onnx"]);
});

test("a lowered limit refuses a large tensor, and bounds the KV cache", () => {
  const shape = new KvShape(manifest.model, { dtype: "float32", in_place: true }); // 2 heads of 128: 1 KiB a token
  const limits = { float16: false, buffer: 2 ** 20 };
  expect(refusalOf(limits, 2 ** 20, shape)).toBeNull();
  expect(refusalOf(limits, 2 ** 20 + 1, shape)).toMatch(/1048577 bytes, and this GPU takes buffers of 1048576/);
  expect(tokensIn(limits.buffer, shape)).toBe(1024);
  expect(refusalOf({ float16: false, buffer: 2 ** 17 }, 1, shape)).toMatch(/its KV cache begins with 262144 bytes/);
});

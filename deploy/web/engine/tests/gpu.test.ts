/** Which graphs a GPU's limits allow. */

import { expect, test } from "vitest";
import type { Graph } from "../src/artifact/manifest.js";
import { GpuKv } from "../src/engine/gpuKv.js";
import { KvShape } from "../src/engine/kvCache.js";
import type { Loading } from "../src/engine/runtime.js";
import { GpuRuntime, graphsForGpu, refusalOf, tokensIn } from "../src/web/gpuRuntime.js";
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

/** A device with room for so many buffers; what goes wrong shows in its error scopes and events, as WebGPU has it. */
class FakeDevice extends EventTarget {
  readonly lost = new Promise<never>(() => undefined);
  readonly queue = { submit: () => undefined };
  readonly buffers: { destroyed: boolean }[] = [];
  private readonly scopes: { kind: string; error: { message: string } | null }[] = [];

  constructor(private readonly room = Infinity) {
    super();
  }

  pushErrorScope = (kind: string): void => void this.scopes.push({ kind, error: null });
  popErrorScope = async (): Promise<unknown> => this.scopes.pop()!.error;
  createCommandEncoder = (): object => ({ copyBufferToBuffer: () => undefined, finish: () => undefined });

  createBuffer(): object {
    const buffer = { destroyed: false, destroy: () => (buffer.destroyed = true) };
    const scope = this.scopes.findLast(({ kind }) => kind === "out-of-memory");
    if (this.buffers.filter((one) => !one.destroyed).length >= this.room) scope!.error ??= { message: "no room for a buffer" };
    this.buffers.push(buffer);
    return buffer;
  }
}

const SHAPE = new KvShape(manifest.model, { dtype: "float32", in_place: true });
const ORT = { Tensor: { fromGpuBuffer: (buffer: unknown) => buffer } };
const cacheOn = (device: FakeDevice): GpuKv => new GpuKv(ORT as never, device as unknown as GPUDevice, SHAPE, 4096);

test("a cache that finds no room says so, keeps what it holds, and leaves nothing behind", async () => {
  const one = SHAPE.pasts.length;
  const device = new FakeDevice(one);
  const cache = cacheOn(device);
  await cache.prepare(100);
  cache.advance(100);
  const before = cache.pasts();
  await expect(cache.prepare(300)).rejects.toThrow(/out of memory: no room/);
  expect(cache.pasts()).toEqual(before);
  expect(cache.length).toBe(100);
  expect(device.buffers.filter((buffer) => !buffer.destroyed)).toHaveLength(one);
});

test("a failure that only an event tells of fails the step, once", () => {
  const device = new FakeDevice();
  const cache = cacheOn(device);
  cache.check();
  device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error: { message: "Out of memory in a buffer" } }));
  expect(() => cache.check()).toThrow(/Out of memory in a buffer/);
  cache.check();
  cache.close();
  device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error: { message: "of another cache" } }));
  cache.check();
});

/** A GPU whose adapters give one device each, of `devices` in all. */
function gpuOf(devices: number): GPU {
  let left = devices;
  const adapter = (): object => {
    let consumed = false;
    return {
      features: new Set(),
      limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 },
      info: {},
      async requestDevice(): Promise<object> {
        if (consumed || left === 0) throw new DOMException(consumed ? "the adapter is consumed" : "no more", "OperationError");
        consumed = true;
        left -= 1;
        return new FakeDevice();
      },
    };
  };
  return { requestAdapter: async () => adapter() } as unknown as GPU;
}

test("a second graph gets a device too, and none is a reason to go on to the next runtime", async () => {
  const session = { inputNames: [], outputNames: [] };
  const ort = { env: { wasm: {}, versions: {} }, InferenceSession: { create: async () => session } };
  const runtime = new GpuRuntime(ort as never, {}, gpuOf(2));
  const onnx = { locations: [], withRequired: () => ({ bytes: new Uint8Array() }) };
  const loading = { graph: GRAPHS[4], model: manifest.model, onnx, context: 64 } as unknown as Loading;
  await runtime.load(loading);
  await runtime.load(loading);
  await expect(runtime.load(loading)).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(/no device \(no more\)/) as string });
});

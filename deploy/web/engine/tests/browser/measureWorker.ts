/**
 * Times steps of one token over caches of several lengths, with the copies that onnxruntime-web's API makes for them and
 * the work that it gives a GPU.
 */

import { readManifest } from "../../src/artifact/manifest.js";
import { OnnxFile } from "../../src/artifact/onnxFile.js";
import { GpuKv } from "../../src/engine/gpuKv.js";
import { AppendedKv, type KvCache, KvShape, type Tensors } from "../../src/engine/kvCache.js";
import type { Ort, OrtSession, OrtTensor } from "../../src/engine/ort.js";
import { OrtLane } from "../../src/engine/ortLane.js";
import { GpuRuntime } from "../../src/web/gpuRuntime.js";
import { HttpSource } from "../../src/web/sources.js";
import { WasmRuntime } from "../../src/web/wasmRuntime.js";

export interface StepsRequest {
  readonly model: string;
  readonly ort: string;
  readonly provider: "wasm" | "webgpu";
  readonly graph: string;
  readonly threads?: number;
  /** Tokens that are held, and room in the cache, of each row. */
  readonly rows: readonly (readonly [tokens: number, room: number])[];
  readonly steps: number;
}

/**
 * Each step in milliseconds; `copied` is what of it went into and out of the API's memory; `bytes` are those of one step.
 * `groups` are the workgroups of one step on a GPU, `moved` and `cleared` the bytes that are copied and zeroed there beside them.
 * `problem` is what ended a row before its steps were over.
 */
export interface Steps {
  readonly tokens: number;
  readonly room: number;
  readonly ms: readonly number[];
  readonly copied: readonly number[];
  readonly bytes: number;
  readonly groups: number;
  readonly moved: number;
  readonly cleared: number;
  readonly problem: string | null;
}

const WARM = 2; // steps that are not counted
const copies = { ms: 0, bytes: 0 };
const typed = Object.getPrototypeOf(Uint8Array.prototype) as { set(this: Uint8Array, source: ArrayLike<number>, offset?: number): void };
const { set } = typed;
typed.set = function (source, offset) {
  const begun = performance.now();
  set.call(this, source, offset);
  copies.ms += performance.now() - begun;
  copies.bytes += (source as Uint8Array).byteLength ?? 0;
};

const work = { groups: 0, moved: 0, cleared: 0 };
if ("gpu" in navigator) {
  const [pass, commands] = [GPUComputePassEncoder.prototype, GPUCommandEncoder.prototype];
  const { dispatchWorkgroups } = pass;
  const { copyBufferToBuffer, clearBuffer } = commands;
  pass.dispatchWorkgroups = function (x, y = 1, z = 1) {
    work.groups += x * y * z;
    return dispatchWorkgroups.call(this, x, y, z);
  };
  pass.dispatchWorkgroupsIndirect = () => {
    throw new Error("a GPU that decides on its own work is not counted");
  };
  commands.copyBufferToBuffer = function (from: GPUBuffer, ...rest: unknown[]) {
    work.moved += rest.at(-1) instanceof GPUBuffer ? from.size : Number(rest.at(-1) ?? from.size);
    return Reflect.apply(copyBufferToBuffer, this, [from, ...rest]);
  };
  commands.clearBuffer = function (buffer, offset = 0, size = buffer.size - offset) {
    work.cleared += size;
    return clearBuffer.call(this, buffer, offset, size);
  };
}

/** `told` gets all rows again after each turn: a browser that dies later takes only what followed. */
async function measure({ model: url, ort: folder, provider, graph: file, rows, steps, threads }: StepsRequest, told: (found: Steps[]) => void): Promise<void> {
  const source = new HttpSource(url);
  const { manifest } = await readManifest(source);
  const graph = manifest.graphs.find((one) => one.file === file)!;
  const script = new URL(`ort.${provider}.min.mjs`, new URL(folder, location.href)).href;
  const ort = (await import(/* @vite-ignore */ script)) as Ort;
  const runtime = provider === "wasm" ? new WasmRuntime(ort, { threads }) : new GpuRuntime(ort);
  await runtime.describe();
  const onnx = new OnnxFile(await source.read(file), file);
  const context = manifest.model.context_length;
  const weightsOf = (name: string): Promise<Uint8Array> => source.read(name);
  const { model } = manifest;
  const first = await runtime.load({ graph, model, onnx, weightsOf, folder: null, check: async () => undefined, context });
  const { session, cache: own } = first as unknown as { readonly session: OrtSession; readonly cache: KvCache & { readonly device: GPUDevice } };
  const shape = new KvShape(model, graph.kv);
  const cacheOf = (): KvCache => (provider === "wasm" ? new AppendedKv(ort, shape) : new GpuKv(ort, own.device, shape, context));
  const lanes = await Promise.all(rows.map(async ([tokens, room]) => {
    const cache = cacheOf();
    const lane = new OrtLane(ort, session, graph, model, cache, context);
    lane.expect(room);
    await cache.prepare(room);
    cache.advance(tokens, provider === "wasm" ? zeros(ort, shape, tokens) : {}); // they cost what keys and values do
    return { lane, tokens, room, ms: [] as number[], copied: [] as number[], bytes: 0, groups: 0, moved: 0, cleared: 0, problem: null as string | null };
  }));
  const found = (): Steps[] => lanes.map(({ lane: _, ...one }) => one);
  for (let step = -WARM; step < steps; step++) {
    for (const one of lanes) { // turn about: what else a machine does slows all of them
      if (one.problem !== null) continue;
      Object.assign(copies, { ms: 0, bytes: 0 });
      Object.assign(work, { groups: 0, moved: 0, cleared: 0 });
      const begun = performance.now();
      try {
        await one.lane.step([(step + WARM) % model.vocab_size]);
      } catch (error) {
        one.problem = String(error);
        continue;
      }
      if (step < 0) continue;
      one.ms.push(performance.now() - begun);
      one.copied.push(copies.ms);
      one.bytes = copies.bytes;
      Object.assign(one, work);
    }
    told(found());
  }
}

function zeros(ort: Ort, shape: KvShape, tokens: number): Tensors {
  const make = { int8: Int8Array, float16: Uint16Array, float32: Float32Array }[shape.dtype];
  const tensor = (): OrtTensor => new ort.Tensor(shape.dtype as "float32", new make(shape.bytes(tokens) / make.BYTES_PER_ELEMENT) as Float32Array, shape.dims(tokens));
  return Object.fromEntries(shape.presents.map((name) => [name, tensor()]));
}

globalThis.onmessage = ({ data }: MessageEvent<StepsRequest>) =>
  void measure(data, (found) => postMessage(found)).then(
    () => postMessage(null),
    (error: unknown) => postMessage(String(error)),
  );

/** Times steps of one token over caches of several lengths, and the copies that onnxruntime-web's API makes for them. */

import { readManifest } from "../../src/artifact/manifest.js";
import { OnnxFile } from "../../src/artifact/onnxFile.js";
import { type KvCache, KvShape, type Tensors } from "../../src/engine/kvCache.js";
import type { Ort, OrtTensor } from "../../src/engine/ort.js";
import { GpuRuntime } from "../../src/web/gpuRuntime.js";
import { HttpSource } from "../../src/web/httpSource.js";
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

/** The fastest step in milliseconds; `copied` is what of one went into and out of the API's memory, the least in ms and in bytes. */
export interface Steps {
  readonly tokens: number;
  readonly room: number;
  readonly ms: number;
  readonly copied: number;
  readonly bytes: number;
}

const copies = { ms: 0, bytes: 0 };
const typed = Object.getPrototypeOf(Uint8Array.prototype) as { set(this: Uint8Array, source: ArrayLike<number>, offset?: number): void };
const { set } = typed;
typed.set = function (source, offset) {
  const begun = performance.now();
  set.call(this, source, offset);
  copies.ms += performance.now() - begun;
  copies.bytes += (source as Uint8Array).byteLength ?? 0;
};

async function measured({ model: url, ort: folder, provider, graph: file, rows, steps, threads }: StepsRequest): Promise<Steps[]> {
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
  const found: Steps[] = [];
  for (const [tokens, room] of rows) {
    const lane = await runtime.load({
      graph, model: manifest.model, onnx, weights: onnx.locations, weightsOf, folder: null, check: async () => undefined, context,
    });
    lane.expect(room);
    const { cache } = lane as unknown as { readonly cache: KvCache };
    await cache.prepare(room);
    cache.advance(tokens, zeros(ort, new KvShape(manifest.model, graph.kv), tokens)); // they cost what keys and values do
    const times: [ms: number, copied: number, bytes: number][] = [];
    for (let step = 0; step < steps + 2; step++) {
      Object.assign(copies, { ms: 0, bytes: 0 });
      const begun = performance.now();
      await lane.step([step % manifest.model.vocab_size]);
      times.push([performance.now() - begun, copies.ms, copies.bytes]);
    }
    const least = (part: 0 | 1 | 2): number => Math.min(...times.slice(2).map((one) => one[part]));
    found.push({ tokens, room, ms: least(0), copied: least(1), bytes: least(2) });
    await lane.close();
  }
  return found;
}

function zeros(ort: Ort, shape: KvShape, tokens: number): Tensors {
  const make = { int8: Int8Array, float16: Uint16Array, float32: Float32Array }[shape.dtype];
  const tensor = (): OrtTensor => new ort.Tensor(shape.dtype as "float32", new make(shape.bytes(tokens) / make.BYTES_PER_ELEMENT) as Float32Array, shape.dims(tokens));
  return Object.fromEntries(shape.presents.map((name) => [name, tensor()]));
}

globalThis.onmessage = ({ data }: MessageEvent<StepsRequest>) =>
  void measured(data).then(
    (found) => postMessage(found),
    (error: unknown) => postMessage(String(error)),
  );

/**
 * onnxruntime-web in WebAssembly. Its API copies each CPU tensor into the heap before a step and out of it after; the KV
 * cache is therefore as long as its tokens and no longer.
 */

import type { Graph, ModelShape } from "../artifact/manifest.js";
import type { OnnxFile } from "../artifact/onnxFile.js";
import { AppendedKv, KvShape } from "../engine/kvCache.js";
import type { Ort, OrtSession } from "../engine/ort.js";
import { ANOTHER, KEEP, OrtLane } from "../engine/ortLane.js";
import { graphsForCpu, type Loading, type Runtime } from "../engine/runtime.js";
import { failure } from "../errors.js";

const HEAP = 4 * 2 ** 30; // of 32-bit WebAssembly
const PROGRAM = 2 ** 28; // bytes of the heap that are neither weights nor KV cache
const WIDEST = 2 ** 23; // weights of a product, which take four bytes each in every step
const LEAST = 256; // tokens of a conversation, as the least that a site may be written for
const ERRORS_ONLY = 3;

/** How onnxruntime-web is set up. `wasmPaths` is the folder of its .wasm files; left out, they lie beside its script. */
export interface WasmOptions {
  readonly wasmPaths?: string | undefined;
  /** The .wasm file's bytes, where it isn't fetched. */
  readonly wasmBinary?: Uint8Array | undefined;
  /** Left out: the cores, at most 4; 1 where the page is not isolated from other origins, or the browser has no shared memory. */
  readonly threads?: number | undefined;
}

/** Whether WebAssembly may have threads: pages of WebKitGTK may be isolated and have no shared memory yet. */
export const canThread = (): boolean => globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== "undefined";

/** The threads that are taken unless said otherwise. */
export const mostThreads = (): number => (canThread() ? Math.min(4, navigator.hardwareConcurrency || 1) : 1);

/** Set onnxruntime-web up, once a thread; returns the threads that it will use. */
export function setUpWasm(ort: Ort, { wasmPaths, wasmBinary, threads }: WasmOptions): number {
  const count = canThread() ? (threads ?? mostThreads()) : 1;
  ort.env.wasm.numThreads = count;
  ort.env.logLevel = "error";
  if (wasmPaths !== undefined) ort.env.wasm.wasmPaths = wasmPaths;
  if (wasmBinary !== undefined) ort.env.wasm.wasmBinary = wasmBinary;
  return count;
}

const bytesOf = (onnx: Pick<OnnxFile, "external">): number => onnx.external.reduce((sum, tensor) => sum + tensor.bytes, 0);

/** The tokens of a KV cache that fit into the heap beside a graph's weights; past and present are both in it. */
export const tokensBeside = (onnx: Pick<OnnxFile, "external">, shape: KvShape): number =>
  Math.floor((HEAP - PROGRAM - bytesOf(onnx)) / (2 * shape.pasts.length * shape.bytes(1)));

export class WasmRuntime implements Runtime {
  readonly provider = "wasm";
  readonly threads: number;

  /** `ort` is a module of onnxruntime-web. */
  constructor(
    private readonly ort: Ort,
    options: WasmOptions = {},
  ) {
    this.threads = setUpWasm(ort, options);
  }

  async describe(): Promise<string> {
    return `onnxruntime-web ${this.ort.env.versions.web ?? this.ort.env.versions.common} wasm ${navigator.userAgent}`;
  }

  suited(graphs: readonly Graph[]): readonly Graph[] {
    return graphsForCpu(graphs);
  }

  refusal(graph: Graph, model: ModelShape, onnx: OnnxFile): string | null {
    const tokens = tokensBeside(onnx, new KvShape(model, graph.kv));
    if (tokens >= LEAST) return null;
    return `its weights have ${bytesOf(onnx)} bytes, beside which no KV cache of ${LEAST} tokens fits into WebAssembly's memory of ${HEAP}`;
  }

  async load(loading: Loading): Promise<OrtLane> {
    const { graph, model, onnx, context } = loading;
    const session = await createSession(this.ort, loading, ["wasm"], onnx.withNarrowProducts(WIDEST));
    const shape = new KvShape(model, graph.kv);
    return new OrtLane(this.ort, session, graph, model, new AppendedKv(this.ort, shape), Math.min(context, tokensBeside(onnx, shape)));
  }
}

/** A session over bytes; `within` watches its making. Throws an artifact error where ONNX Runtime refuses the graph, an unavailable one without memory. */
export async function createSession(
  ort: Ort,
  { graph, weightsOf }: Loading,
  executionProviders: readonly (string | { readonly name: string })[],
  onnx: OnnxFile,
  within: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
): Promise<OrtSession> {
  const externalData = await Promise.all(onnx.locations.map(async (path) => ({ path, data: await weightsOf(path) })));
  const { bytes } = onnx.withRequired(KEEP);
  const made: OrtSession[] = [];
  try {
    const options = { executionProviders, externalData, logSeverityLevel: ERRORS_ONLY } as const;
    await within(async () => void made.push(await ort.InferenceSession.create(bytes, options)));
    return made[0]!;
  } catch (error) {
    await made[0]?.release();
    throw failure(`${graph.file} can't be loaded by onnxruntime-web`, error, ANOTHER);
  }
}

/** The worker's side: has one model at a time and answers a page's requests. Openings and closings wait for each other. */

import { throwIfAborted } from "../artifact/checkedFiles.js";
import type { ArtifactSource } from "../artifact/source.js";
import type { Ort } from "../engine/ort.js";
import type { Wish } from "../engine/stop.js";
import type { Runtime } from "../engine/runtime.js";
import { unavailableError, wordsOf } from "../errors.js";
import type { LoadedModel } from "../loadedModel.js";
import type { Reply } from "../model.js";
import { openModel } from "../openModel.js";
import { PieceSource } from "../pieces/pieceSource.js";
import { PieceStore } from "../pieces/pieceStore.js";
import { GpuRuntime } from "../web/gpuRuntime.js";
import { HttpSource } from "../web/httpSource.js";
import { IndexedStore } from "../web/indexedStore.js";
import { OpfsSource } from "../web/opfsSource.js";
import { WasmRuntime } from "../web/wasmRuntime.js";
import { type OpenRequest, type Opened, type Port, type Request, type SourceRequest, toAnswer } from "./protocol.js";

/** Makes the source that a page names; a page with a way of its own to keep files gives another one. */
export type MakeSource = (request: SourceRequest) => ArtifactSource;

export const makeSource: MakeSource = (request) => {
  if (request.kind === "http") return new HttpSource(request.url);
  return request.kind === "opfs" ? new OpfsSource(request.folder) : new PieceSource(new PieceStore(request.folder));
};

/** Answer the requests that come through `port`, which is a worker's own scope. */
export function serve(port: Port, sources: MakeSource = makeSource): void {
  const server = new ModelServer(port, sources);
  port.addEventListener("message", ({ data }: MessageEvent<Request>) => void server.answer(data));
}

class ModelServer {
  private model: { readonly number: number; readonly loaded: LoadedModel } | null = null;
  private changing: Promise<unknown> = Promise.resolve();
  private readonly wishes = new Map<number, (wish: Wish) => void>();

  constructor(
    private readonly port: Port,
    private readonly sources: MakeSource,
  ) {}

  async answer(request: Request): Promise<void> {
    const { number } = request;
    if (request.method === "wish") return this.wishes.get(number)?.(request.wish);
    try {
      this.port.postMessage({ number, kind: "result", result: await this.result(request) });
    } catch (error) {
      this.port.postMessage(toAnswer(number, error));
    } finally {
      this.wishes.delete(number);
    }
  }

  private async result(request: Exclude<Request, { method: "wish" }>): Promise<unknown> {
    if (request.method === "open") {
      const abort = new AbortController();
      this.wishes.set(request.number, () => abort.abort());
      return this.inTurn(() => this.open(request.number, request.request, abort.signal));
    }
    if (request.method === "close") return this.inTurn(async () => this.model?.number === request.model && (await this.close()));
    if (this.model?.number !== request.model) throw unavailableError("the worker has this model no more, or never had: open it first");
    const { loaded } = this.model;
    if (request.method === "encode") return loaded.encode(request.messages, request.options);
    if (request.method === "settle") return loaded.settle(request.messages, request.options);
    return this.reply(request.number, loaded.begin(request.messages, request.options, request.chat));
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.changing.then(change);
    this.changing = changed.catch(() => undefined);
    return changed;
  }

  private async close(): Promise<void> {
    const { model } = this;
    this.model = null;
    await model?.loaded.close();
  }

  private async open(number: number, request: OpenRequest, signal: AbortSignal): Promise<Opened> {
    throwIfAborted(signal);
    await this.close();
    const { source, ort, binaries, threads, provider, ...options } = request;
    const loaded = (await openModel({
      ...options,
      source: this.sources(source),
      runtimes: await runtimes(request, binaries && this.sources(binaries)),
      store: new IndexedStore(),
      signal,
      onProgress: (progress) => this.port.postMessage({ number, kind: "progress", progress }),
    })) as LoadedModel;
    this.model = { number, loaded };
    return { manifest: loaded.manifest, report: loaded.report, thinking: loaded.thinking };
  }

  private async reply(number: number, reply: Reply): Promise<void> {
    this.wishes.set(number, (wish) => reply[wish]());
    for await (const event of reply) this.port.postMessage({ number, kind: "event", event });
  }
}

/** Each has its own build: that with WebGPU lacks the CPU's kernels for quantized embeddings. */
async function runtimes({ provider = "auto", ort, threads }: OpenRequest, binaries?: ArtifactSource): Promise<Runtime[]> {
  const found: Runtime[] = [];
  const wasmBinary = async (name: string): Promise<Uint8Array | undefined> => binaries && unpacked(await binaries.read(`${name}.gz`));
  if (provider !== "wasm") {
    const binary = await wasmBinary("ort-wasm-simd-threaded.asyncify.wasm");
    found.push(new GpuRuntime(await imported(ort, "ort.webgpu.min.mjs"), { wasmBinary: binary }));
  }
  if (provider !== "webgpu") {
    const binary = await wasmBinary("ort-wasm-simd-threaded.wasm");
    found.push(new WasmRuntime(await imported(ort, "ort.wasm.min.mjs"), { wasmBinary: binary, threads }));
  }
  return found;
}

async function unpacked(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function imported(folder: string, script: string): Promise<Ort> {
  const url = new URL(script, new URL(folder.replace(/\/*$/, "/"), globalThis.location?.href)).href;
  try {
    return (await import(/* @vite-ignore */ url)) as Ort;
  } catch (error) {
    throw unavailableError(`onnxruntime-web can't be loaded from ${url} (${wordsOf(error)}): is it served there, as JavaScript?`, error);
  }
}

/** The worker's side: has one model at a time and answers a page's requests. Openings and closings wait for each other. */

import { throwIfAborted } from "../artifact/checkedFiles.js";
import type { ArtifactSource } from "../artifact/source.js";
import type { Ort } from "../engine/ort.js";
import type { Wish } from "../engine/stop.js";
import type { Runtime } from "../engine/runtime.js";
import { unavailableError, wordsOf } from "../errors.js";
import type { LoadedModel } from "../loadedModel.js";
import type { ReplyEvent } from "../events.js";
import type { OpenProgress } from "../model.js";
import { openModel } from "../openModel.js";
import { PieceSource } from "../pieces/pieceSource.js";
import { PieceStore } from "../pieces/pieceStore.js";
import { GpuRuntime } from "../web/gpuRuntime.js";
import { IndexedStore } from "../web/indexedStore.js";
import { HttpSource, OpfsSource } from "../web/sources.js";
import { WasmRuntime } from "../web/wasmRuntime.js";
import { answer, type Opened, type OpenRequest, type Port, type Request, type SourceRequest } from "./protocol.js";

/** Makes the source that a page names; a page with a way of its own to keep files gives another one. */
export type MakeSource = (request: SourceRequest) => ArtifactSource;

export const makeSource: MakeSource = (request) => {
  if (request.kind === "http") return new HttpSource(request.url);
  return request.kind === "opfs" ? new OpfsSource(request.folder) : new PieceSource(new PieceStore(request.folder));
};

/** Answer the calls that come through `port`, which is a worker's own scope. */
export function serve(port: Port, sources: MakeSource = makeSource): void {
  const server = new ModelServer(sources);
  port.addEventListener("message", ({ data, ports }: MessageEvent<OpenRequest>) => {
    const [line] = ports as [MessagePort];
    void answer(line, (tell) => server.open(data, line, tell));
  });
}

class ModelServer {
  private model: LoadedModel | null = null;
  private changing: Promise<unknown> = Promise.resolve();

  constructor(private readonly sources: MakeSource) {}

  /** Open a model, whose calls come by the same line; a wish that comes by it before ends the opening. */
  async open(request: OpenRequest, line: MessagePort, tell: (progress: OpenProgress) => void): Promise<Opened> {
    const abort = new AbortController();
    line.onmessage = () => abort.abort();
    const model = await this.inTurn(() => this.opened(request, abort.signal, tell));
    line.onmessage = ({ data, ports: [port] }: MessageEvent<Request>) => {
      if (port) void answer(port, (tell) => this.result(model, data, port, tell)); // else a late wish, which is nobody's
    };
    return { manifest: model.manifest, report: model.report, thinking: model.thinking };
  }

  private async result(model: LoadedModel, request: Request, port: MessagePort, tell: (event: ReplyEvent) => void): Promise<unknown> {
    if (request.method === "close") return this.inTurn(() => model.close());
    if (request.method !== "begin") return model[request.method](request.messages, request.options);
    const reply = model.begin(request.messages, request.options, request.chat);
    port.onmessage = ({ data }: MessageEvent<Wish>) => reply[data]();
    for await (const event of reply) tell(event);
    return null;
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.changing.then(change);
    this.changing = changed.catch(() => undefined);
    return changed;
  }

  private async opened(request: OpenRequest, signal: AbortSignal, onProgress: (progress: OpenProgress) => void): Promise<LoadedModel> {
    throwIfAborted(signal);
    await this.model?.close();
    const { source, ort, binaries, threads, provider, ...options } = request;
    return (this.model = (await openModel({
      ...options,
      source: this.sources(source),
      runtimes: await runtimes(request, binaries && this.sources(binaries)),
      store: new IndexedStore(),
      signal,
      onProgress,
    })) as LoadedModel);
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

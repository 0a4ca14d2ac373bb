/**
 * What a page and the worker that runs its model say to each other: plain data, and a port for each call. By it go the
 * wishes that belong to the call, what is told while it goes on, and what it ended with. An opening comes to the worker;
 * the calls of a model come by the port that it was opened by.
 */

import { type ErrorCode, ThinkportError, unavailableError, wordsOf } from "../errors.js";
import type { EncodeOptions, Model, ReplyOptions } from "../model.js";
import type { OpenOptions } from "../openModel.js";
import type { Message } from "../prompt/message.js";
import type { Thinking } from "../thinking/thinking.js";

/** Where the artifact lies: a folder of a web server, or of the browser's file system, with its files or their pieces. */
export type SourceRequest = { readonly kind: "http"; readonly url: string } | { readonly kind: "opfs" | "pieces"; readonly folder: string };

/** What a worker opens, and with what. */
export interface OpenRequest extends Pick<OpenOptions, "graph" | "thinking" | "contextLength" | "verify"> {
  readonly source: SourceRequest;
  /** The address of a folder with onnxruntime-web's scripts `ort.webgpu.min.mjs` and `ort.wasm.min.mjs` and their .wasm files. */
  readonly ort: string;
  /** Where the .wasm files lie packed by gzip, as files of an artifact would; left out, plain ones beside the scripts. */
  readonly binaries?: SourceRequest;
  /** `auto` takes WebGPU where it is and computes rightly. */
  readonly provider?: "auto" | "webgpu" | "wasm";
  readonly threads?: number;
}

/** What the page knows of a model that was opened. */
export type Opened = Pick<Model, "manifest" | "report" | "thinking">;

/** A call of a model that was opened. */
export type Request =
  | { readonly method: "begin"; readonly messages: readonly Message[]; readonly options: ReplyOptions; readonly chat: Thinking | null }
  | { readonly method: "encode" | "settle"; readonly messages: readonly Message[]; readonly options: EncodeOptions }
  | { readonly method: "close" };

type Answer =
  | { readonly told: unknown }
  | { readonly result: unknown }
  | { readonly code: ErrorCode | null; readonly message: string };

/** A worker, its own scope, or a port to one. */
export type Port = Pick<Worker, "postMessage" | "addEventListener">;

/** Answer a call: tell what comes of the work, and then what it gave or threw. */
export async function answer(port: MessagePort, work: (tell: (told: unknown) => void) => Promise<unknown>): Promise<void> {
  try {
    port.postMessage({ result: await work((told) => port.postMessage({ told })) } satisfies Answer);
  } catch (error) {
    port.postMessage({ code: error instanceof ThinkportError ? error.code : null, message: wordsOf(error) } satisfies Answer);
  }
}

/** The page's end of the line to a worker, which may fail at any time. */
export class Line {
  private broken: ThinkportError | null = null;
  private readonly waiting = new Set<(error: ThinkportError) => void>();

  constructor(private readonly worker: Port) {
    worker.addEventListener("error", ({ message }: ErrorEvent) => {
      this.broken = unavailableError(`the worker failed (${message || "its script can't be loaded"}): load the page again`);
      for (const reject of this.waiting) reject(this.broken);
    });
  }

  /** Call what is at the other end of `to`; hear what is told, and settle with what the call ended with. */
  call(request: unknown, { port1, port2 }: MessageChannel, onTold: (told: never) => void = () => undefined, to: Pick<Port, "postMessage"> = this.worker): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.broken !== null) return reject(this.broken);
      this.waiting.add(reject);
      port1.onmessage = ({ data }: MessageEvent<Answer>) => {
        if ("told" in data) return onTold(data.told as never);
        this.waiting.delete(reject);
        if ("result" in data) resolve(data.result);
        else reject(data.code ? new ThinkportError(data.code, data.message) : new Error(data.message));
      };
      to.postMessage(request, [port2]);
    });
  }
}

/** What a page and the worker that runs its model say to each other: plain data, a request with a number each. */

import type { ErrorCode } from "../errors.js";
import { ThinkportError } from "../errors.js";
import type { Manifest } from "../artifact/manifest.js";
import type { Wish } from "../engine/stop.js";
import type { ReplyEvent } from "../events.js";
import type { EncodeOptions, ModelReport, OpenProgress, ReplyOptions } from "../model.js";
import type { Message } from "../prompt/message.js";
import type { Thinking, ThinkingAsked } from "../thinking/thinking.js";

/** Where the artifact lies: a folder of a web server, or of the browser's file system, with its files or their pieces. */
export type SourceRequest = { readonly kind: "http"; readonly url: string } | { readonly kind: "opfs" | "pieces"; readonly folder: string };

/** What a worker opens, and with what. */
export interface OpenRequest {
  readonly source: SourceRequest;
  /** The address of a folder with onnxruntime-web's scripts `ort.webgpu.min.mjs` and `ort.wasm.min.mjs` and their .wasm files. */
  readonly ort: string;
  /** Where the .wasm files lie packed by gzip, as files of an artifact would; left out, plain ones beside the scripts. */
  readonly binaries?: SourceRequest;
  /** `auto` takes WebGPU where it is and computes rightly. */
  readonly provider?: "auto" | "webgpu" | "wasm";
  readonly threads?: number;
  readonly graph?: string | null;
  readonly thinking?: ThinkingAsked | null;
  readonly contextLength?: number | null;
  readonly verify?: boolean;
}

/**
 * From the page. `number` tells requests apart; a `wish` is of the reply that was begun by that number, and a `model` is the
 * number that it was opened by: a worker that has opened another one since refuses the request.
 */
export type Request =
  | { readonly number: number; readonly method: "open"; readonly request: OpenRequest }
  | { readonly number: number; readonly method: "begin"; readonly model: number; readonly messages: readonly Message[]; readonly options: ReplyOptions; readonly chat: Thinking | null }
  | { readonly number: number; readonly method: "wish"; readonly wish: Wish }
  | { readonly number: number; readonly method: "encode"; readonly model: number; readonly messages: readonly Message[]; readonly options: EncodeOptions }
  | { readonly number: number; readonly method: "settle"; readonly model: number; readonly messages: readonly Message[]; readonly options: EncodeOptions }
  | { readonly number: number; readonly method: "close"; readonly model: number };

/** A `Request` before it has a number. */
export type Unnumbered = Request extends infer Each ? (Each extends Request ? Omit<Each, "number"> : never) : never;

/** What the page knows of a model that was opened. */
export interface Opened {
  readonly manifest: Manifest;
  readonly report: ModelReport;
  readonly thinking: Thinking;
}

/** From the worker: progress or an event of a request that goes on, or what it ended with. */
export type Answer =
  | { readonly number: number; readonly kind: "progress"; readonly progress: OpenProgress }
  | { readonly number: number; readonly kind: "event"; readonly event: ReplyEvent }
  | { readonly number: number; readonly kind: "result"; readonly result: unknown }
  | { readonly number: number; readonly kind: "error"; readonly code: ErrorCode | null; readonly message: string };

/** An error as data. */
export const toAnswer = (number: number, error: unknown): Answer => ({
  number,
  kind: "error",
  code: error instanceof ThinkportError ? error.code : null,
  message: error instanceof Error ? error.message : String(error),
});

/** The error that an answer is. */
export const toError = ({ code, message }: { readonly code: ErrorCode | null; readonly message: string }): Error =>
  code ? new ThinkportError(code, message) : new Error(message);

/** A worker, or a port to one. */
export interface Port {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

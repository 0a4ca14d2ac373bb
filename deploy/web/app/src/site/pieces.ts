/** Having pieces fetched and checked in a worker, from the page. */

import type { PieceProgress } from "@thinkport/engine/pieces";
import { toError } from "@thinkport/engine/worker/protocol";
import type { PieceAnswer, PieceRequest } from "./piece_worker";

/** Throws what went wrong in a sentence; a signal ends it at once, and what was kept stays. */
export function havePieces(request: PieceRequest, signal: AbortSignal, onProgress: (progress: PieceProgress) => void): Promise<void> {
  const worker = new Worker(new URL("./piece_worker.ts", import.meta.url), { type: "module" });
  return new Promise<void>((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => reject(signal.reason as Error));
    worker.addEventListener("error", ({ message }) => reject(new Error(`The worker that downloads failed: ${message || "its script can't be loaded"}.`)));
    worker.addEventListener("message", ({ data }: MessageEvent<PieceAnswer>) => {
      if (data.kind === "progress") onProgress(data.progress);
      else if (data.kind === "done") resolve();
      else reject(toError(data));
    });
    worker.postMessage(request);
  }).finally(() => worker.terminate());
}

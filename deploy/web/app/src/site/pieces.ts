/** Having pieces fetched and checked in a worker, from the page. */

import type { PieceProgress } from "@thinkport/engine/pieces";
import { Line } from "@thinkport/engine/worker/protocol";
import type { PieceRequest } from "./piece_worker";

/** Throws what went wrong; a signal ends it at once, and what was kept stays. */
export function havePieces(request: PieceRequest, signal: AbortSignal, onProgress: (progress: PieceProgress) => void): Promise<void> {
  const worker = new Worker(new URL("./piece_worker.ts", import.meta.url), { type: "module" });
  return new Promise<void>((resolve, reject) => {
    signal.throwIfAborted();
    signal.addEventListener("abort", () => reject(signal.reason as Error));
    new Line(worker).call(request, new MessageChannel(), onProgress).then(() => resolve(), reject);
  }).finally(() => worker.terminate());
}

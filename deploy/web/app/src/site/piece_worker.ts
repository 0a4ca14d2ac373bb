/** The script of a worker that fetches and checks pieces, and keeps them. It ends by being ended, at any time. */

import { type ErrorCode, ThinkportError, wordsOf } from "@thinkport/engine/errors";
import { fetchPieces, inRoom, type Piece, type PieceIndex, type PieceProgress, piecesOf, PieceStore } from "@thinkport/engine/pieces";

/** `keep`: the index whose pieces are the model that is kept from then on; others go. */
export interface PieceRequest {
  readonly folder: string;
  readonly base: string;
  readonly pieces: readonly Piece[];
  readonly keep: PieceIndex;
}

export type PieceAnswer =
  | { readonly kind: "progress"; readonly progress: PieceProgress }
  | { readonly kind: "done" }
  | { readonly kind: "error"; readonly code: ErrorCode | null; readonly message: string };

const told = (answer: PieceAnswer): void => postMessage(answer);

addEventListener("message", ({ data }: MessageEvent<PieceRequest>) => void run(data));

async function run({ folder, base, pieces, keep }: PieceRequest): Promise<void> {
  const store = new PieceStore(folder);
  try {
    await fetchPieces(store, base, pieces, (progress) => told({ kind: "progress", progress }));
    await inRoom(() => store.keep(keep, piecesOf(keep, Object.keys(keep.files))), 1);
    told({ kind: "done" });
  } catch (error) {
    told({ kind: "error", code: error instanceof ThinkportError ? error.code : null, message: wordsOf(error) });
  }
}

/** The script of a worker that fetches and checks pieces, and keeps them. It ends by being ended, at any time. */

import { fetchPieces, inRoom, type Piece, type PieceIndex, piecesOf, PieceStore } from "@thinkport/engine/pieces";
import { answer } from "@thinkport/engine/worker/protocol";

/** `keep`: the index whose pieces are the model that is kept from then on; others go. */
export interface PieceRequest {
  readonly folder: string;
  readonly base: string;
  readonly pieces: readonly Piece[];
  readonly keep: PieceIndex;
}

addEventListener("message", ({ data, ports }: MessageEvent<PieceRequest>) => {
  const { folder, base, pieces, keep } = data;
  const store = new PieceStore(folder);
  void answer(ports[0]!, async (tell) => {
    await fetchPieces(store, base, pieces, tell);
    await inRoom(() => store.keep(keep, piecesOf(keep, Object.keys(keep.files))), 1);
  });
});

/** A model on a static web host, cut into pieces, and in the browser's own file system. */

export { fetchIndex, fetchPieces, inRoom, type PieceProgress } from "./fetchPieces.js";
export { bytesOf, INDEX, type LeftOut, parseIndex, type Piece, type PiecedFile, type PieceIndex, piecesOf, type Way } from "./pieceIndex.js";
export { PieceSource } from "./pieceSource.js";
export { PieceStore } from "./pieceStore.js";

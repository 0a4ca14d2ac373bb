/**
 * From a web host to the store: each piece that is not there with its own content is fetched, held against its hash, and
 * written. What was there before, of this visit or another one, of this version or another one, is never fetched again.
 */

import { artifactError, ThinkportError, unavailableError, wordsOf } from "../errors.js";
import { INDEX, parseIndex, type Piece, type PieceIndex } from "./pieceIndex.js";
import { hashOf, type PieceStore } from "./pieceStore.js";

const PAUSES = [500, 2000, 5000]; // ms before a piece is asked for again

/** Bytes of the pieces that are there and right, of `total`; `fetched` of them came in this call. */
export interface PieceProgress {
  readonly done: number;
  readonly total: number;
  readonly fetched: number;
}

/** The site's index; null where the host can't be reached in `patience` ms. Throws an artifact error where it is no index. */
export async function fetchIndex(base: string, patience: number): Promise<PieceIndex | null> {
  const url = new URL(INDEX, base).href;
  const response = await fetch(url, { cache: "no-cache", signal: AbortSignal.timeout(patience) }).catch(() => null);
  if (response === null || response.status >= 500) return null;
  if (!response.ok) throw artifactError(`${url} is not there (status ${response.status}): the site is being replaced, or was not uploaded whole; try again later`);
  const text = await response.text().catch(() => null); // the connection may break in the middle
  return text === null ? null : parseIndex(text, url);
}

/**
 * Have all pieces in the store. Throws an unavailable error where the host can't be reached or the device has no room,
 * an artifact error where a piece is missing on the host or is not what the index says.
 */
export async function fetchPieces(
  store: PieceStore,
  base: string,
  pieces: readonly Piece[],
  onProgress: (progress: PieceProgress) => void,
): Promise<void> {
  const total = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  let done = 0;
  let fetched = 0;
  for (const piece of pieces) {
    if (!(await store.holds(piece))) {
      const bytes = await fetchPiece(base, piece, (part) => onProgress({ done: done + part, total, fetched: fetched + part }));
      await inRoom(() => store.put(piece, bytes), total - done);
      fetched += piece.bytes;
    }
    done += piece.bytes;
    onProgress({ done, total, fetched });
  }
}

async function fetchPiece(base: string, piece: Piece, onPart: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(`pieces/${piece.sha256}.bin`, base).href;
  for (let attempt = 0; ; attempt++) {
    try {
      const bytes = await received(url, piece, attempt > 0, onPart);
      if ((await hashOf(bytes)) === piece.sha256) return bytes;
      throw artifactError(`${url} is not the piece that it should be: the host's copy is damaged; try again later, and if that doesn't help, have the site uploaded again`);
    } catch (error) {
      const pause = PAUSES[attempt];
      if (pause === undefined || !navigator.onLine || (error instanceof ThinkportError && error.code === "artifact" && attempt > 0)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** The body of an answer, of the piece's size; `anew` passes over what the browser has of it. */
async function received(url: string, piece: Piece, anew: boolean, onPart: (bytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, { cache: anew ? "reload" : "no-store" }).catch((error: unknown) => {
    throw unavailableError(`the site can't be reached (${wordsOf(error)}): what came so far is kept; go on when there is a network`, error);
  });
  if (response.status >= 500 || response.status === 429) {
    throw unavailableError(`the site answers ${response.status}: what came so far is kept; go on later`);
  }
  if (!response.ok) throw artifactError(`${url} is not there (status ${response.status}): the site is being replaced, or was not uploaded whole; try again later`);
  const bytes = new Uint8Array(piece.bytes);
  let at = 0;
  try {
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > bytes.length) throw artifactError(`${url} has more than the ${piece.bytes} bytes that were expected: try again later, and if that doesn't help, have the site uploaded again`);
      bytes.set(value, at);
      onPart((at += value.length));
    }
  } catch (error) {
    if (error instanceof ThinkportError) throw error;
    throw unavailableError(`the connection broke (${wordsOf(error)}): what came so far is kept; go on when there is a network`, error);
  }
  if (at !== bytes.length) throw artifactError(`${url} has ${at} bytes, expected ${piece.bytes}: try again later, and if that doesn't help, have the site uploaded again`);
  return bytes;
}

/** Write to the store; throws an unavailable error where the device has no room. `missing` bytes are still to be written. */
export async function inRoom(write: () => Promise<void>, missing: number): Promise<void> {
  try {
    await write();
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotSupportedError") throw unavailableError(`this browser can't write files for a page (${wordsOf(error)}): open this page in another one`, error);
    const what = name === "QuotaExceededError" ? `this browser has no room for ${Math.ceil(missing / 1e6)} MB more` : `the model can't be kept (${wordsOf(error)})`;
    throw unavailableError(`${what}: free some space, then go on; what came so far is kept`, error);
  }
}

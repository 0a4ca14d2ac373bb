/** An artifact whose files are kept in pieces. A file is never in memory as a whole, unless it is asked for as one. */

import type { ArtifactSource, ByteRange, ReadOptions, SyncFile } from "../artifact/source.js";
import { artifactError, cancelledError } from "../errors.js";
import type { PiecedFile, PieceIndex } from "./pieceIndex.js";
import type { PieceStore } from "./pieceStore.js";

/** The pieces must have been checked in this visit: `stamp` takes them for right. */
export class PieceSource implements ArtifactSource {
  readonly place: string;
  private kept: Promise<PieceIndex | null> | null = null;

  constructor(private readonly store: PieceStore) {
    this.place = `opfs:/${store.folder}`;
  }

  async read(name: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const { file, pieceBytes } = await this.file(name);
    const { start, end } = range ?? { start: 0, end: file.bytes };
    const made = new Uint8Array(end - start);
    for (const part of partsOf(file, pieceBytes, { start, end })) {
      if (signal?.aborted) throw cancelledError("opening the model");
      made.set((await this.store.read(file.pieces[part.piece]!)).subarray(part.from, part.to), part.at);
    }
    return made;
  }

  /** The hash of the file, which its pieces add up to. */
  async stamp(name: string): Promise<string> {
    return (await this.file(name)).file.sha256;
  }

  async open(name: string): Promise<SyncFile> {
    const { file, pieceBytes } = await this.file(name);
    const handles = new Map<string, FileSystemSyncAccessHandle>(); // one a piece: where a browser knows no read-only access, a second is refused
    const close = (): void => handles.forEach((handle) => handle.close());
    try {
      for (const piece of new Set(file.pieces)) handles.set(piece, await this.store.open(piece));
    } catch (error) {
      close();
      throw error;
    }
    const read = (range: ByteRange): Uint8Array => {
      const made = new Uint8Array(range.end - range.start);
      for (const { piece, from, to, at } of partsOf(file, pieceBytes, range)) {
        handles.get(file.pieces[piece]!)!.read(made.subarray(at, at + to - from), { at: from });
      }
      return made;
    };
    return { bytes: file.bytes, read, close };
  }

  private async file(name: string): Promise<{ file: PiecedFile; pieceBytes: number }> {
    const index = await (this.kept ??= this.store.index());
    const file = index?.files[name];
    if (!index || !file) throw artifactError(`${this.place}/${name} is not kept here: download the model again`);
    return { file, pieceBytes: index.pieceBytes };
  }
}

/** What of which pieces a range of a file is: bytes `from` to `to` of a piece stand `at` a place in the range. */
export function* partsOf(
  file: PiecedFile,
  pieceBytes: number,
  { start, end }: ByteRange,
): Generator<{ piece: number; from: number; to: number; at: number }> {
  for (let at = start; at < end; ) {
    const piece = Math.floor(at / pieceBytes);
    const from = at - piece * pieceBytes;
    const to = Math.min(pieceBytes, end - piece * pieceBytes);
    yield { piece, from, to, at: at - start };
    at += to - from;
    if (piece >= file.pieces.length) throw new RangeError(`byte ${at} of a file of ${file.bytes}`);
  }
}

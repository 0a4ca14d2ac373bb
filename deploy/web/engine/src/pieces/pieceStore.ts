/**
 * Pieces in the browser's own file system (https://fs.spec.whatwg.org), each a file named by its hash. Only a worker may
 * open, write and remove; a page reads the index and deletes all. Knows folders; must not know where pieces come from.
 */

import { bytesToHex } from "@noble/hashes/utils.js";
import { reading } from "../artifact/source.js";
import { ThinkportError } from "../errors.js";
import { INDEX, parseIndex, type Piece, type PieceIndex } from "./pieceIndex.js";

/** What TypeScript's library lacks of files that a worker opens. */
interface WorkerFile {
  createSyncAccessHandle(options: { readonly mode: "read-only" }): Promise<FileSystemSyncAccessHandle>;
  /** Give a file a name in a folder, in place of one that has it; Safari has this form only, and old ones replace none. */
  move(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
}

const PIECES = "pieces";

export class PieceStore {
  /** `folder` is a path from the file system's root. */
  constructor(readonly folder: string) {}

  /** The index of the model that is kept whole; null where there is none. */
  async index(): Promise<PieceIndex | null> {
    const text = await this.text();
    try {
      return text === null ? null : parseIndex(text, `${this.folder}/${INDEX}`);
    } catch (error) {
      if (error instanceof ThinkportError) return null; // of another format: downloaded again
      throw error;
    }
  }

  /** From now on the model of this index is the one that is kept; pieces of others go. */
  async keep(index: PieceIndex, pieces: readonly Piece[]): Promise<void> {
    const text = JSON.stringify(index);
    if ((await this.text()) !== text) await replace(await this.top(true), INDEX, new TextEncoder().encode(text));
    const kept = new Set(pieces.map((piece) => piece.sha256));
    const folder = await this.pieces();
    for (const name of await namesIn(folder)) if (!kept.has(name)) await folder.removeEntry(name);
  }

  /** The bytes of each piece that lies here, by name; what it holds is not looked at. */
  async sizes(): Promise<Map<string, number>> {
    const folder = await this.pieces();
    const found = new Map<string, number>();
    for (const name of await namesIn(folder)) found.set(name, (await (await folder.getFileHandle(name)).getFile()).size);
    return found;
  }

  /** Whether a piece lies here, with its own content. */
  async holds({ sha256, bytes }: Piece): Promise<boolean> {
    try {
      const file = await (await (await this.pieces()).getFileHandle(sha256)).getFile();
      return file.size === bytes && (await hashOf(await file.arrayBuffer())) === sha256;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** Write a piece. Throws QuotaExceededError where there is no room; nothing of the piece stays then. */
  async put({ sha256 }: Piece, bytes: Uint8Array): Promise<void> {
    const folder = await this.pieces();
    try {
      await write(folder, sha256, bytes);
    } catch (error) {
      await folder.removeEntry(sha256).catch(() => undefined);
      throw error;
    }
  }

  /** A piece, opened for reading without waiting. Throws an artifact error where it is gone. */
  async open(sha256: string): Promise<FileSystemSyncAccessHandle> {
    return this.reading(sha256, openSync);
  }

  async read(sha256: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.reading(sha256, async (file) => new Uint8Array(await (await file.getFile()).arrayBuffer()));
  }

  /** Delete everything. */
  async clear(): Promise<void> {
    const [name, ...up] = this.folder.split("/").reverse();
    const parent = await folderAt(up.reverse(), false).catch(() => null);
    await parent?.removeEntry(name!, { recursive: true }).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }

  private reading<T>(sha256: string, work: (file: FileSystemFileHandle) => Promise<T>): Promise<T> {
    const what = `${this.folder}/${sha256.slice(0, 12)}…`;
    return reading(what, "download the model again", async () => work(await (await this.pieces()).getFileHandle(sha256)));
  }

  private async text(): Promise<string | null> {
    try {
      return await (await (await (await this.top(false)).getFileHandle(INDEX)).getFile()).text();
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  private top(create: boolean): Promise<FileSystemDirectoryHandle> {
    return folderAt(this.folder.split("/"), create);
  }

  private async pieces(): Promise<FileSystemDirectoryHandle> {
    return (await this.top(true)).getDirectoryHandle(PIECES, { create: true });
  }
}

/** The sha256 of bytes as hex. Only secure contexts (https, localhost) have it. */
export async function hashOf(bytes: BufferSource): Promise<string> {
  return bytesToHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/** A file for reading without waiting, which only a worker may. */
export const openSync = (file: FileSystemFileHandle): Promise<FileSystemSyncAccessHandle> =>
  (file as unknown as WorkerFile).createSyncAccessHandle({ mode: "read-only" });

/** The folder at a path from the root. */
export async function folderAt(path: readonly string[], create: boolean): Promise<FileSystemDirectoryHandle> {
  let folder = await navigator.storage.getDirectory();
  for (const part of path) folder = await folder.getDirectoryHandle(part, { create });
  return folder;
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

async function write(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array): Promise<void> {
  const handle = await (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
  try {
    handle.truncate(0);
    const written = handle.write(bytes, { at: 0 });
    if (written !== bytes.length) throw new DOMException(`${written} of ${bytes.length} bytes were written`, "QuotaExceededError");
    handle.flush();
  } finally {
    handle.close();
  }
}

/** Write beside a file, and put it in its place once it is whole: the worker may be ended at any time. */
async function replace(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array): Promise<void> {
  const beside = `${name}.new`;
  await write(folder, beside, bytes);
  const made = (await folder.getFileHandle(beside)) as unknown as WorkerFile;
  await made.move(folder, name).catch(async () => {
    await folder.removeEntry(name);
    await made.move(folder, name);
  });
}

const isMissing = (error: unknown): boolean => error instanceof DOMException && error.name === "NotFoundError";

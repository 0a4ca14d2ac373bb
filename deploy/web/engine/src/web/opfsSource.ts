/**
 * An artifact in the browser's own file system (https://fs.spec.whatwg.org), where a download was kept. Its files are
 * hashed at each opening: Chromium's times of change there do not always change with the content.
 */

import type { ArtifactSource, ByteRange, ReadOptions, SyncFile } from "../artifact/source.js";
import { cancelledError, failure } from "../errors.js";

/** Only a worker reads files without waiting. */
interface SyncHandles {
  createSyncAccessHandle(options?: { readonly mode?: "read-only" }): Promise<SyncHandle>;
}

interface SyncHandle {
  getSize(): number;
  read(bytes: Uint8Array, options: { readonly at: number }): number;
  close(): void;
}

export class OpfsSource implements ArtifactSource {
  readonly place: string;
  readonly open?: (name: string) => Promise<SyncFile>;

  /** `folder` is a path from the file system's root, as "models/qwen3". */
  constructor(private readonly folder: string) {
    this.place = `opfs:/${folder}`;
    if (typeof FileSystemFileHandle !== "undefined" && "createSyncAccessHandle" in FileSystemFileHandle.prototype) {
      this.open = (name) => this.careful(name, () => this.sync(name));
    }
  }

  async read(name: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.careful(name, async () => {
      const file = await (await this.handle(name)).getFile();
      signal?.throwIfAborted();
      return new Uint8Array(await (range ? file.slice(range.start, range.end) : file).arrayBuffer());
    }, signal);
  }

  private async sync(name: string): Promise<SyncFile> {
    const handle = await ((await this.handle(name)) as unknown as SyncHandles).createSyncAccessHandle({ mode: "read-only" });
    const read = ({ start, end }: ByteRange): Uint8Array => {
      const bytes = new Uint8Array(end - start);
      return bytes.subarray(0, handle.read(bytes, { at: start }));
    };
    return { bytes: handle.getSize(), read, close: () => handle.close() };
  }

  private async handle(name: string): Promise<FileSystemFileHandle> {
    const path = `${this.folder}/${name}`.split("/").filter(Boolean);
    let folder = await navigator.storage.getDirectory();
    for (const part of path.slice(0, -1)) folder = await folder.getDirectoryHandle(part);
    return folder.getFileHandle(path.at(-1)!);
  }

  private async careful<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (signal?.aborted) throw cancelledError("opening the model");
      throw failure(`${this.place}/${name} can't be read`, error, "download the model again");
    }
  }
}

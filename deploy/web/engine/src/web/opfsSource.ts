/**
 * An artifact in the browser's own file system (https://fs.spec.whatwg.org), where a download was kept. Its files are
 * hashed at each opening: Chromium's times of change there do not always change with the content.
 */

import { type ArtifactSource, type ByteRange, reading, type ReadOptions, type SyncFile } from "../artifact/source.js";
import { folderAt, openSync } from "../pieces/pieceStore.js";

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
    const handle = await openSync(await this.handle(name));
    const read = ({ start, end }: ByteRange): Uint8Array => {
      const bytes = new Uint8Array(end - start);
      return bytes.subarray(0, handle.read(bytes, { at: start }));
    };
    return { bytes: handle.getSize(), read, close: () => handle.close() };
  }

  private async handle(name: string): Promise<FileSystemFileHandle> {
    const path = `${this.folder}/${name}`.split("/").filter(Boolean);
    return (await folderAt(path.slice(0, -1), false)).getFileHandle(path.at(-1)!);
  }

  private careful<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return reading(`${this.place}/${name}`, "download the model again", work, signal);
  }
}

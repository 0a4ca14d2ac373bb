/** Artifacts as a browser reads them: from a folder of a web server, or of its own file system. */

import { type ArtifactSource, type ByteRange, reading, type ReadOptions, type SyncFile } from "../artifact/source.js";
import { folderAt, openSync } from "../pieces/pieceStore.js";

/** An artifact in a folder of a web server. */
export class HttpSource implements ArtifactSource {
  readonly place: string;

  /** `url` is the folder's address, of which a relative one is meant beside the page. */
  constructor(url: string) {
    const whole = new URL(url, globalThis.location?.href).href;
    this.place = whole.replace(/\/+$/, "");
  }

  async read(name: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const url = `${this.place}/${name.split("/").map(encodeURIComponent).join("/")}`;
    const work = async (): Promise<Uint8Array<ArrayBuffer>> => {
      const headers: HeadersInit = range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {};
      const response = await fetch(url, { headers, signal: signal ?? null });
      if (!response.ok) throw new Error(`the server answers ${response.status} ${response.statusText}`.trim());
      const bytes = new Uint8Array(await response.arrayBuffer());
      return range && response.status === 200 ? bytes.subarray(range.start, range.end) : bytes; // a server without ranges
    };
    return reading(url, "is the artifact's folder served there?", work, signal);
  }
}

/**
 * An artifact in the browser's own file system (https://fs.spec.whatwg.org), where a download was kept. Its files are
 * hashed at each opening: Chromium's times of change there do not always change with the content.
 */
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

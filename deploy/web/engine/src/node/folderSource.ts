/** An artifact in a folder of this machine. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type ArtifactSource, type ByteRange, reading, type ReadOptions, type SyncFile } from "../artifact/source.js";

export class FolderSource implements ArtifactSource {
  readonly place: string;

  constructor(folder: string) {
    this.place = resolve(folder);
  }

  async read(name: string, { range, signal }: ReadOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.careful(name, async () => {
      const file = await open(join(this.place, name));
      try {
        signal?.throwIfAborted();
        const { start, end } = range ?? { start: 0, end: (await file.stat()).size };
        const bytes = new Uint8Array(end - start);
        const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    }, signal);
  }

  async stamp(name: string): Promise<string> {
    return this.careful(name, async () => {
      const found = await stat(join(this.place, name), { bigint: true });
      return `${found.size} ${found.mtimeNs} ${found.ctimeNs} ${found.ino}`;
    });
  }

  async open(name: string): Promise<SyncFile> {
    return this.careful(name, async () => {
      const file = openSync(join(this.place, name), "r");
      const read = ({ start, end }: ByteRange): Uint8Array => {
        const bytes = new Uint8Array(end - start);
        return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start));
      };
      return { bytes: fstatSync(file).size, read, close: () => closeSync(file) };
    });
  }

  path(name: string): string {
    return join(this.place, name);
  }

  private careful<T>(name: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return reading(`${this.place}/${name}`, "expected a folder that `thinkport export` wrote", work, signal);
  }
}

/** Folders of this machine: one with an artifact, and one for what is remembered of artifacts. */

import { createHash, randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type ArtifactSource, type ByteRange, reading, type ReadOptions, type SyncFile } from "../artifact/source.js";
import type { Store } from "../artifact/store.js";
import { inputError } from "../errors.js";

/** An artifact in a folder of this machine. */
export class FolderSource implements ArtifactSource {
  readonly place: string;

  constructor(folder: string) {
    if (typeof folder !== "string") throw inputError(`the artifact's folder is ${typeof folder}, expected a path`);
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

/** What this machine remembers of artifacts, a file a key, each written whole. */
export class FolderStore implements Store {
  constructor(private readonly folder: string) {}

  async get(key: string): Promise<string | null> {
    const [found, value] = JSON.parse(await readFile(this.file(key), "utf8")) as [string, string];
    return found === key ? value : null;
  }

  async set(key: string, value: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const part = `${this.file(key)}.${randomUUID()}`;
    await writeFile(part, JSON.stringify([key, value]));
    await rename(part, this.file(key));
  }

  private file(key: string): string {
    return join(this.folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
  }
}

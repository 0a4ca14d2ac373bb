/** What this machine remembers of artifacts, a file a key, each written whole. */

import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Store } from "../artifact/store.js";

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

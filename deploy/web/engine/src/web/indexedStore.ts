/** What this browser remembers of artifacts, in IndexedDB, which pages and workers have. */

import type { Store } from "../artifact/store.js";

const NAME = "thinkport-engine";
const TABLE = "known";

export class IndexedStore implements Store {
  async get(key: string): Promise<string | null> {
    const found = await this.within("readonly", (table) => table.get(key));
    return typeof found === "string" ? found : null;
  }

  async set(key: string, value: string): Promise<void> {
    await this.within("readwrite", (table) => table.put(value, key));
  }

  private async within(mode: IDBTransactionMode, work: (table: IDBObjectStore) => IDBRequest): Promise<unknown> {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE);
    const database = (await settled(opening)) as IDBDatabase;
    try {
      return await settled(work(database.transaction(TABLE, mode).objectStore(TABLE)));
    } finally {
      database.close();
    }
  }
}

const settled = (request: IDBRequest): Promise<unknown> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });

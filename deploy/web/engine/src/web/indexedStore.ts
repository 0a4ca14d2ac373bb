/** What this browser remembers of artifacts, in IndexedDB, which pages and workers have. */

import { type IDBPDatabase, openDB } from "idb";
import type { Store } from "../artifact/store.js";

const NAME = "thinkport-engine";
const TABLE = "known";

export class IndexedStore implements Store {
  async get(key: string): Promise<string | null> {
    const found = await this.within((database) => database.get(TABLE, key));
    return typeof found === "string" ? found : null;
  }

  async set(key: string, value: string): Promise<void> {
    await this.within((database) => database.put(TABLE, value, key));
  }

  private async within(work: (database: IDBPDatabase) => Promise<unknown>): Promise<unknown> {
    const database = await openDB(NAME, 1, { upgrade: (made) => void made.createObjectStore(TABLE) });
    return work(database).finally(() => database.close());
  }
}

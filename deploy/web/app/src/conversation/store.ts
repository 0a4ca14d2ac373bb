/** Where conversations stay: on this device, in IndexedDB, or for as long as the page is open where there is none. */

import type { Conversation } from "./conversation";

export type Theme = "system" | "light" | "dark";

/** What is the same for all conversations. */
export interface Preferences {
  theme: Theme;
}

export const DEFAULTS: Preferences = { theme: "system" };

export interface Store {
  /** Whether conversations outlive the page. */
  readonly lasting: boolean;
  all(): Promise<Conversation[]>;
  put(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
  preferences(): Promise<Preferences>;
  keep(preferences: Preferences): Promise<void>;
}

const NAME = "thinkport";
const CONVERSATIONS = "conversations";
const PREFERENCES = "preferences";

/** The device's own store, or a page's memory where a browser refuses one, as some do in private windows. */
export async function openStore(): Promise<Store> {
  try {
    return new IndexedDbStore(await openDatabase());
  } catch {
    return new MemoryStore();
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
      opening.result.createObjectStore(PREFERENCES);
    };
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
    opening.onblocked = () => reject(new Error("another tab holds an older store"));
  });
}

class IndexedDbStore implements Store {
  readonly lasting = true;

  constructor(private readonly database: IDBDatabase) {
    database.onversionchange = () => database.close();
  }

  all(): Promise<Conversation[]> {
    return this.does(CONVERSATIONS, "readonly", (store) => store.getAll() as IDBRequest<Conversation[]>);
  }

  async put(conversation: Conversation): Promise<void> {
    await this.does(CONVERSATIONS, "readwrite", (store) => store.put(conversation));
  }

  async remove(id: string): Promise<void> {
    await this.does(CONVERSATIONS, "readwrite", (store) => store.delete(id));
  }

  async preferences(): Promise<Preferences> {
    const kept = await this.does(PREFERENCES, "readonly", (store) => store.get("all") as IDBRequest<Preferences | undefined>);
    return { ...DEFAULTS, ...kept };
  }

  async keep(preferences: Preferences): Promise<void> {
    await this.does(PREFERENCES, "readwrite", (store) => store.put(preferences, "all"));
  }

  private does<T>(name: string, mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(name, mode);
      const request = ask(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

export class MemoryStore implements Store {
  readonly lasting: boolean = false;
  private readonly kept = new Map<string, Conversation>();
  private chosen = DEFAULTS;

  all = async (): Promise<Conversation[]> => [...this.kept.values()];
  put = async (conversation: Conversation): Promise<void> => void this.kept.set(conversation.id, conversation);
  remove = async (id: string): Promise<void> => void this.kept.delete(id);
  preferences = async (): Promise<Preferences> => this.chosen;
  keep = async (preferences: Preferences): Promise<void> => void (this.chosen = preferences);
}

/** Where conversations stay on this device: in IndexedDB. */

import { openDB } from "idb";
import type { Conversation } from "./conversation";

export type Theme = "system" | "light" | "dark";

/** What is the same for all conversations. */
export interface Preferences {
  theme: Theme;
}

export const DEFAULTS: Preferences = { theme: "system" };

export interface Store {
  all(): Promise<Conversation[]>;
  put(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
  preferences(): Promise<Preferences>;
  keep(preferences: Preferences): Promise<void>;
}

const NAME = "thinkport";
const CONVERSATIONS = "conversations";
const PREFERENCES = "preferences";

/** The device's own store; null where a browser refuses one, as some do in private windows. */
export const openStore = (): Promise<Store | null> => indexedDbStore().catch(() => null);

async function indexedDbStore(): Promise<Store> {
  const database = await openDB(NAME, 1, {
    upgrade(made) {
      made.createObjectStore(CONVERSATIONS, { keyPath: "id" });
      made.createObjectStore(PREFERENCES);
    },
    blocking: (_, __, { target }) => (target as IDBDatabase).close(), // a newer page in another tab
  });
  return {
    all: () => database.getAll(CONVERSATIONS),
    put: async (conversation) => void (await database.put(CONVERSATIONS, conversation)),
    remove: (id) => database.delete(CONVERSATIONS, id),
    preferences: async () => ({ ...DEFAULTS, ...(await database.get(PREFERENCES, "all")) }),
    keep: async (preferences) => void (await database.put(PREFERENCES, preferences, "all")),
  };
}

/**
 * What a device remembers of artifacts: verdicts on graphs, and files whose hashes were right. Nothing here is needed to
 * run: a store that can't be read or written remembers nothing.
 */
export interface Store {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
}

/** A store that lasts as long as the program. */
export class MemoryStore implements Store {
  private readonly values = new Map<string, string>();

  async get(key: string): Promise<string | null> {
    return this.values.get(key) ?? null;
  }

  async set(key: string, value: string): Promise<void> {
    this.values.set(key, value);
  }
}

/** The store, where a failure is silent. */
export const carefully = (store: Store): Store => ({
  get: (key) => store.get(key).catch(() => null),
  set: (key, value) => store.set(key, value).catch(() => undefined),
});

/**
 * All conversations of this device, and which one is open. What changes here is kept in the store, and other tabs are
 * told. Knows conversations; must not know how replies come.
 */

import { computed, signal } from "@preact/signals";
import { afterReload, isReadable, newConversation, type Conversation } from "./conversation";
import { type Preferences, type Store, DEFAULTS } from "./store";

const CHANNEL = "thinkport.conversations";

export class Library {
  readonly conversations = signal<readonly Conversation[]>([]);
  readonly preferences = signal<Preferences>(DEFAULTS);
  /** Why conversations can't be kept, or read again, once that showed. */
  readonly unkept = signal<string | null>(null);
  private readonly draft = signal(newConversation());
  private readonly openId = signal<string | null>(null);
  private store: Store | null = null;
  private readonly channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

  /** The one that is open; a new one is listed once it has a message. */
  readonly open = computed(() => this.find(this.openId.value) ?? this.draft.value);

  /** Newest first. */
  readonly sorted = computed(() => [...this.conversations.value].sort((a, b) => b.changed - a.changed));

  /** Take what a store has; null where nothing can be kept. `writing` tells which conversations a reply of this page is being written to. */
  async use(store: Store | null, writing: (id: string) => boolean): Promise<void> {
    this.store = store;
    if (store === null) return this.fail("this browser keeps nothing for this page. A private window may be the reason. Export what you need.");
    try {
      this.preferences.value = await store.preferences();
      const all = await store.all();
      this.conversations.value = all.filter(isReadable).map(afterReload);
      const odd = all.length - this.conversations.value.length;
      if (odd > 0) this.unkept.value = `${odd} of ${all.length} kept conversations can't be read; they stay as they are.`;
    } catch (error) {
      this.fail(error);
    }
    this.channel?.addEventListener("message", () => void this.reread(store, writing).catch((error: unknown) => this.fail(error)));
  }

  find(id: string | null): Conversation | undefined {
    return this.conversations.value.find((one) => one.id === id);
  }

  /** A new conversation; one that is empty is taken again. */
  begin(): void {
    this.draft.value = newConversation();
    this.openId.value = null;
  }

  show(id: string): void {
    this.openId.value = id;
  }

  /** Change a conversation, be it the new one; one that was deleted stays so. */
  change(id: string, how: (before: Conversation) => Conversation): void {
    const before = this.find(id);
    if (before) {
      const after = how(before);
      this.conversations.value = this.conversations.value.map((one) => (one.id === id ? after : one));
      this.keep(after);
    } else if (this.draft.value.id === id) {
      this.draft.value = how(this.draft.value);
      if (this.draft.value.messages.length > 0) this.list(this.draft.value);
    }
  }

  remove(id: string): void {
    if (this.open.value.id === id) this.begin();
    this.conversations.value = this.conversations.value.filter((one) => one.id !== id);
    this.writing(this.store?.remove(id));
  }

  /** Put back what was removed; a reply that was written in it ended then. */
  restore(conversation: Conversation): void {
    const ended = afterReload(conversation);
    this.conversations.value = [...this.conversations.value, ended];
    this.keep(ended);
  }

  prefer(preferences: Preferences): void {
    this.preferences.value = preferences;
    this.writing(this.store?.keep(preferences));
  }

  private list(conversation: Conversation): void {
    this.conversations.value = [...this.conversations.value, conversation];
    this.openId.value = conversation.id;
    this.keep(conversation);
  }

  private keep(conversation: Conversation): void {
    this.writing(this.store?.put(conversation));
  }

  private writing(done: Promise<void> | undefined): void {
    done?.then(
      () => this.channel?.postMessage("changed"),
      (error: unknown) => this.fail(error),
    );
  }

  private fail(error: unknown): void {
    this.unkept.value = `Conversations can't be kept: ${error instanceof Error ? error.message : String(error)}`;
  }

  /** Another tab changed something: what this page writes to, or changed while the store was read, stays as it is here. */
  private async reread(store: Store, writing: (id: string) => boolean): Promise<void> {
    const before = new Map(this.conversations.value.map((one) => [one.id, one]));
    const stored = (await store.all()).filter(isReadable);
    const now = new Map(this.conversations.value.map((one) => [one.id, one]));
    const own = [...now.values()].filter((one) => writing(one.id) || before.get(one.id) !== one);
    const kept = new Map(own.map((one) => [one.id, one]));
    const removed = (id: string): boolean => before.has(id) && !now.has(id);
    const begun = own.filter((one) => !before.has(one.id) && !stored.some(({ id }) => id === one.id));
    const others = stored.filter((one) => !removed(one.id)).map((one) => kept.get(one.id) ?? one);
    this.conversations.value = [...others, ...begun];
  }
}

/** Conversations whose title or messages have all words of a search; all of them for none. */
export function found(conversations: readonly Conversation[], search: string): Conversation[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...conversations];
  return conversations.filter((one) => {
    const text = [one.title, ...one.messages.map((message) => message.text)].join("\n").toLocaleLowerCase();
    return words.every((word) => text.includes(word));
  });
}

import { expect, it } from "vitest";
import { adding, newConversation, newMessage, type Conversation } from "../src/conversation/conversation";
import { Library } from "../src/conversation/library";
import { DEFAULTS, type Store } from "../src/conversation/store";

/** A store that is empty and takes everything. */
class FakeStore implements Store {
  all = (): Promise<Conversation[]> => Promise.resolve([]);
  put = async (): Promise<void> => undefined;
  remove = async (): Promise<void> => undefined;
  preferences = async () => DEFAULTS;
  keep = async (): Promise<void> => undefined;
}

/** A store that others wrote to as well, and that is read as slowly as a test wants. */
class SlowStore extends FakeStore {
  asked = 0;
  answer: (conversations: Conversation[]) => void = () => undefined;

  override all = (): Promise<Conversation[]> => {
    this.asked += 1;
    return this.asked === 1 ? Promise.resolve([]) : new Promise((resolve) => (this.answer = resolve));
  };
}

it("keeps what is said here while another tab's changes are read", async () => {
  const store = new SlowStore();
  const library = new Library();
  await library.use(store, () => false);
  const begun = library.open.value.id;
  library.change(begun, (before) => adding(before, newMessage("user", null, "first")));
  const stored = library.open.value;
  const others = new BroadcastChannel("thinkport.conversations");
  others.postMessage("changed");
  await expect.poll(() => store.asked).toBe(2);
  library.change(begun, (before) => adding(before, newMessage("user", before.leaf, "second")));
  library.begin();
  const later = library.open.value.id;
  library.change(later, (before) => adding(before, newMessage("user", null, "another")));
  const theirs = adding(newConversation(), newMessage("user", null, "theirs"));
  store.answer([stored, theirs]);
  await expect.poll(() => library.find(theirs.id)?.title).toBe("theirs");
  expect(library.find(begun)?.messages.map((one) => one.text)).toEqual(["first", "second"]);
  expect(library.find(later)?.title).toBe("another");
  others.close();
});

it("restores a conversation whose reply was being written with a reply that ended", async () => {
  const library = new Library();
  await library.use(new FakeStore(), () => false);
  const { id } = library.open.value;
  library.change(id, (before) => adding(before, newMessage("user", null, "question")));
  library.change(id, (before) => adding(before, newMessage("assistant", before.leaf, "half")));
  const removed = library.find(id)!;
  library.remove(id);
  library.restore(removed);
  expect(library.find(id)?.messages.map((one) => one.state)).toEqual(["done", "interrupted"]);
});

/** A store that holds what this page did not write, or can't be read at all. */
class OddStore extends FakeStore {
  constructor(private readonly given: () => Promise<unknown[]>) {
    super();
  }

  override all = (): Promise<Conversation[]> => this.given() as Promise<Conversation[]>;
}

it("shows what it can read of a store, and says what it can't", async () => {
  const whole = adding(newConversation(), newMessage("user", null, "hi"));
  const library = new Library();
  await library.use(new OddStore(async () => [whole, { id: "x" }]), () => false);
  expect(library.conversations.value.map(({ id }) => id)).toEqual([whole.id]);
  expect(library.unkept.value).toBe("1 of 2 kept conversations can't be read; they stay as they are.");
});

it("goes on over a store that fails, or keeps nothing, and says so", async () => {
  const library = new Library();
  await library.use(new OddStore(() => Promise.reject(new Error("the disk is damaged"))), () => false);
  expect(library.unkept.value).toBe("Conversations can't be kept: the disk is damaged");
  library.change(library.open.value.id, (before) => adding(before, newMessage("user", null, "hi")));
  expect(library.conversations.value).toHaveLength(1);
  await library.use(null, () => false);
  expect(library.unkept.value).toMatch(/^Conversations can't be kept: this browser keeps nothing for this page/);
});

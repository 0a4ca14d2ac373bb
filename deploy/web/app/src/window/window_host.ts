/** The desktop window around the page: its program opens artifacts, asks for places, and keeps conversations. */

import type { Conversation } from "../conversation/conversation";
import { DEFAULTS, type Preferences, type Store } from "../conversation/store";
import { Trouble } from "../transport/trouble";
import { Host, type Opening } from "./host";

const PERIOD = 250; // ms between two looks at an opening

/** The program of the window opens the page as `/?window`. */
export function hostOfPage(): Host {
  return new URLSearchParams(location.search).has("window") ? new WindowHost() : new Host();
}

class WindowHost extends Host {
  override readonly picks = true;

  override async store(): Promise<Store> {
    await this.look();
    return new DiskStore();
  }

  override async save(name: string, text: string): Promise<boolean> {
    return (await tell<{ written: boolean }>("POST", "/window/save", { name, text })).written;
  }

  override async open(folder: string | null): Promise<void> {
    await tell("POST", "/window/open", { folder });
    await this.look();
  }

  override async back(): Promise<void> {
    await tell("POST", "/window/back", {});
    await this.look();
  }

  /** See what is open; while something is being opened, look again soon. */
  private async look(): Promise<void> {
    const before = this.opening.value;
    this.opening.value = (await tell<{ opening: Opening | null }>("GET", "/window/state")).opening;
    if (this.opening.value?.progress) this.lookLater();
    else if (before?.progress && this.opening.value === null) this.opened();
  }

  private lookLater(): void {
    setTimeout(() => void this.look().catch(() => this.lookLater()), PERIOD);
  }
}

/** Conversations in files of the window's program, so that they outlive its port and its web view. */
class DiskStore implements Store {
  all = (): Promise<Conversation[]> => tell("GET", "/window/conversations");
  put = (conversation: Conversation): Promise<void> => tell("PUT", `/window/conversations/${conversation.id}`, conversation);
  remove = (id: string): Promise<void> => tell("DELETE", `/window/conversations/${id}`);
  keep = (preferences: Preferences): Promise<void> => tell("PUT", "/window/preferences", preferences);
  preferences = async (): Promise<Preferences> => ({ ...DEFAULTS, ...(await tell<Partial<Preferences>>("GET", "/window/preferences")) });
}

async function tell<T = void>(method: string, path: string, body?: unknown): Promise<T> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(path, init).catch(() => {
    throw new Trouble("connection", "The window's program can't be reached.");
  });
  const told = (await response.json()) as T & { error?: { message: string } };
  if (!response.ok) throw new Trouble("refused", told.error?.message ?? `The window's program answered ${response.status}.`);
  return told;
}

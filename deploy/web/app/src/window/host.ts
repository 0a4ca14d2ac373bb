/**
 * What is around the page: a browser, or the desktop window, whose program opens artifacts, shows the system's dialogs
 * and keeps conversations on the disk. Knows addresses of that program; must not know views.
 */

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import type { Conversation } from "../conversation/conversation";
import { DEFAULTS, openStore, type Preferences, type Store } from "../conversation/store";
import { Trouble } from "../transport/trouble";

const PERIOD = 250; // ms between two looks at an opening

export interface Opening {
  /** Artifacts of before, the latest first. */
  recent: { name: string; folder: string }[];
  /** What is being opened, and how far its first check is; null share where nobody knows. */
  progress: { name: string; what: string; share: number | null } | null;
  problem: string | null;
  /** Whether another artifact is still open. */
  back: boolean;
}

/** A browser; what `WindowHost` overrides, only the window has. */
export class Host {
  /** Set while there is no model to talk to. */
  readonly opening = signal<Opening | null>(null);
  /** Whether another artifact can be picked. */
  readonly picks: boolean = false;
  /** Called once another model is open. */
  opened = (): void => undefined;

  /** What it adds to the settings, and above the message box; null for nothing. */
  constructor(
    readonly section: (() => VNode | null) | null = null,
    readonly notice: (() => VNode | null) | null = null,
  ) {}

  /** Where conversations stay; null where they can't. */
  store(): Promise<Store | null> {
    return openStore();
  }

  /** Give a file to the person: a download, or a dialog that asks where. Returns whether it was written. */
  async save(name: string, text: string): Promise<boolean> {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    return true;
  }

  /** Open a folder; null asks for one. */
  async open(_folder: string | null): Promise<void> {}

  /** Go back to the artifact that is open. */
  async back(): Promise<void> {}
}

/** The program of the window opens the page as `/?window`. */
export function hostOfPage(): Host {
  return new URLSearchParams(location.search).has("window") ? new WindowHost() : new Host();
}

/** The desktop window around the page. */
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

/**
 * What is around the page: a browser, or the desktop window, whose program opens artifacts, shows the system's dialogs
 * and keeps conversations on the disk. Knows addresses of that program; must not know views.
 */

import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { openStore, type Store } from "../conversation/store";

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

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

export interface Host {
  /** Set while there is no model to talk to. */
  readonly opening: { readonly value: Opening | null };
  /** Whether another artifact can be picked. */
  readonly picks: boolean;
  /** What it adds to the settings, and above the message box; null for nothing. */
  readonly section: (() => VNode | null) | null;
  readonly notice: (() => VNode | null) | null;
  /** Called once another model is open. */
  opened: () => void;
  /** Where conversations stay; null where they can't. */
  store(): Promise<Store | null>;
  /** Give a file to the person: a download, or a dialog that asks where. Returns whether it was written. */
  save(name: string, text: string): Promise<boolean>;
  /** Open a folder; null asks for one. */
  open(folder: string | null): Promise<void>;
  /** Go back to the artifact that is open. */
  back(): Promise<void>;
}

export class BrowserHost implements Host {
  readonly opening = signal<Opening | null>(null);
  readonly picks = false;
  readonly section: Host["section"] = null;
  readonly notice: Host["notice"] = null;
  opened = (): void => undefined;

  store(): Promise<Store | null> {
    return openStore();
  }

  async save(name: string, text: string): Promise<boolean> {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    return true;
  }

  async open(): Promise<void> {
    // a browser's page talks to what its server serves
  }

  async back(): Promise<void> {
    // as above
  }
}

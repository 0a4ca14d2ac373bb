/** Which parts of the page beside the conversation are open. */

import { signal } from "@preact/signals";
import { inWords } from "../transport/trouble";

export class Panels {
  private readonly narrow = matchMedia("(max-width: 56rem)");
  readonly sidebar = signal(!this.narrow.matches);
  readonly settings = signal(false);
  /** What went wrong with something other than a reply. */
  readonly notice = signal<string | null>(null);

  constructor() {
    this.narrow.addEventListener("change", ({ matches }) => (this.sidebar.value = !matches));
  }

  /** Show why something that was asked for did not work. */
  attempt(work: Promise<unknown>): void {
    work.catch((error: unknown) => (this.notice.value = inWords(error)));
  }

  /** On a narrow page the list covers the conversation: it goes once something was chosen. */
  chosen(): void {
    if (this.narrow.matches) this.sidebar.value = false;
  }
}

/** Whether the model can be reached, and what is known of it; asked again and again while the page is looked at. */

import { signal } from "@preact/signals";
import type { About, Transport } from "./transport";
import { inWords, Trouble } from "./trouble";

const PERIOD = 5000; // ms

/** refused: the model can't run. fault: the answer could not be read. */
export type ConnectionState = "connecting" | "ready" | "key" | "ending" | "lost" | "refused" | "fault";

export class Connection {
  readonly about = signal<About | null>(null);
  readonly state = signal<ConnectionState>("connecting");
  readonly problem = signal<string | null>(null);

  constructor(readonly transport: Transport) {}

  /** Ask now, and from now on. */
  start(): void {
    void this.ask();
    setInterval(() => document.visibilityState === "visible" && void this.ask(), PERIOD);
    addEventListener("online", () => void this.ask());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void this.ask());
  }

  async ask(): Promise<void> {
    try {
      const about = await this.transport.about();
      this.about.value = about;
      this.problem.value = null;
      this.state.value = about.keyNeeded ? "key" : about.ending ? "ending" : "ready";
    } catch (error) {
      this.problem.value = inWords(error);
      this.state.value = !(error instanceof Trouble) ? "fault" : error.kind === "refused" ? "refused" : "lost";
    }
  }

  /** Whether a key is right. */
  async useKey(key: string): Promise<boolean> {
    const right = await this.transport.useKey(key);
    if (right) await this.ask();
    return right;
  }
}

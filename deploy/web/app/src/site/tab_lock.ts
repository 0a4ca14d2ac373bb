/**
 * One tab at a time has the model: it downloads and runs it (https://w3c.github.io/web-locks). Other tabs hear what it
 * does. Knows tabs; must not know the model.
 */

export class TabLock {
  /** Whether this tab has the model. */
  held = false;
  private readonly channel: BroadcastChannel;
  private waiting: AbortController | null = null;
  private telling: string | null = null;
  private release: () => void = () => undefined;

  /** `onTold` hears what the tab that has the model does, `onLost` that another tab took it from this one. */
  constructor(
    private readonly name: string,
    private readonly onTold: (what: string) => void,
    private readonly onLost: () => void,
  ) {
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<{ readonly what: string } | "who">) => {
      if (data !== "who") this.onTold(data.what);
      else if (this.telling !== null) this.tell(this.telling);
    };
  }

  /** Take the model if no tab has it; returns whether this one has it now. */
  take(): Promise<boolean> {
    return this.request({ ifAvailable: true });
  }

  /** Take the model once no tab has it any more. */
  async wait(): Promise<void> {
    this.waiting = new AbortController();
    this.channel.postMessage("who");
    await this.request({ signal: this.waiting.signal });
  }

  /** Take the model from the tab that has it. */
  async steal(): Promise<void> {
    this.waiting?.abort();
    await this.request({ steal: true });
  }

  /** Let another tab have the model. */
  letGo(): void {
    this.telling = null;
    this.held = false;
    this.release();
  }

  /** Tell the other tabs what this one does with the model. */
  tell(what: string): void {
    this.telling = what;
    this.channel.postMessage({ what });
  }

  /** Resolves once the lock is decided; it is held until it is let go, the tab is left, or another one steals it. Rejects where the browser denies locks. */
  private request(options: LockOptions): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let held = false;
      const holding = navigator.locks.request(this.name, options, (lock) => {
        held = lock !== null;
        this.held ||= held;
        resolve(held);
        return held ? new Promise<void>((release) => (this.release = release)) : undefined;
      });
      holding.catch((error: unknown) => {
        if (!held) return (error as Error).name === "AbortError" ? undefined : reject(error); // the wait was ended, or denied
        this.held = false;
        this.onLost();
      });
    });
  }
}

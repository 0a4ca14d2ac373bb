/** How fast the part of a reply that is being written goes, since its first piece. */

import type { Speed } from "./transport";

export class LiveSpeed {
  private part = "";
  private began = 0;
  private before = 0;

  /** `now` tells milliseconds. */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The speed at a piece of a part that has so many tokens by now. */
  of(part: string, tokens: number): Speed {
    if (part !== this.part) [this.part, this.began, this.before] = [part, this.now(), tokens];
    const seconds = (this.now() - this.began) / 1000;
    return { tokens, perSecond: tokens > this.before && seconds > 0 ? (tokens - this.before) / seconds : null };
  }
}

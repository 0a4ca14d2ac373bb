/** A reply as its reader holds it: events that come one after the other, and the wish that it ends. */

import { Stop, type Wish } from "../engine/stop.js";
import { inputError } from "../errors.js";
import type { End, ReplyEvent } from "../events.js";
import type { Reply } from "../model.js";

export type OnEnd = (end: End) => void;
export type Events = AsyncGenerator<ReplyEvent, void, void>;

export class StreamedReply extends Stop implements Reply {
  private readonly events: Events;
  private ending: End | null = null;

  /** `events` makes them by what is wished; `onEnd` is told the end before the reader gets it, `onWish` each wish. */
  constructor(
    events: (stop: Stop) => Events,
    private readonly onEnd?: OnEnd,
    onWish?: (wish: Wish) => void,
  ) {
    super(onWish);
    this.events = this.noted(events(this));
  }

  [Symbol.asyncIterator](): Events {
    return this.events;
  }

  async end(): Promise<End> {
    while (!(await this.events.next()).done);
    if (!this.ending) throw inputError("the reply was abandoned or closed before its end: begin another one");
    return this.ending;
  }

  private async *noted(events: Events): Events {
    for await (const event of events) {
      if (event.type === "end") {
        this.ending = event;
        this.onEnd?.(event);
      }
      yield event;
    }
  }
}

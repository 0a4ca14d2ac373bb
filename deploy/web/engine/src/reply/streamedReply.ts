/** A reply as its reader holds it: events that come one after the other, and the wish that it ends. */

import { Stop } from "../engine/stop.js";
import { inputError } from "../errors.js";
import type { End, ReplyEvent } from "../events.js";
import type { Reply } from "../model.js";

/** Makes the events, once they are asked for. */
export type Events = (stop: Stop) => AsyncGenerator<ReplyEvent, void, void>;

export class StreamedReply implements Reply {
  private readonly events: AsyncGenerator<ReplyEvent, void, void>;
  private ending: End | null = null;

  /** `stop` may be held by others as well, such as another thread's side. */
  constructor(
    events: Events,
    private readonly stop: Stop = new Stop(),
  ) {
    this.events = this.noted(events(stop));
  }

  [Symbol.asyncIterator](): AsyncGenerator<ReplyEvent, void, void> {
    return this.events;
  }

  stopThinking(): void {
    this.stop.stopThinking();
  }

  cancel(): void {
    this.stop.cancel();
  }

  abandon(): void {
    this.stop.abandon();
  }

  async end(): Promise<End> {
    while (!(await this.events.next()).done);
    if (!this.ending) throw inputError("the reply was abandoned or closed before its end: begin another one");
    return this.ending;
  }

  private async *noted(events: AsyncGenerator<ReplyEvent, void, void>): AsyncGenerator<ReplyEvent, void, void> {
    for await (const event of events) {
      if (event.type === "end") this.ending = event;
      yield event;
    }
  }
}

/** A reply as its reader holds it: events that come one after the other, and the wish that it ends. */

import type { Stop } from "../engine/stop.js";
import { inputError } from "../errors.js";
import type { End, ReplyEvent } from "../events.js";
import type { Reply } from "../model.js";

export type OnEnd = (end: End) => void;

export class StreamedReply implements Reply {
  private readonly events: AsyncGenerator<ReplyEvent, void, void>;
  private ending: End | null = null;

  /** `onEnd` is told the end before the reader gets it. */
  constructor(
    events: AsyncGenerator<ReplyEvent, void, void>,
    private readonly stop: Stop,
    private readonly onEnd: OnEnd | undefined,
  ) {
    this.events = this.noted(events);
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
      if (event.type === "end") {
        this.ending = event;
        this.onEnd?.(event);
      }
      yield event;
    }
  }
}

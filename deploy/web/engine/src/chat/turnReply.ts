/** A reply whose end is told before its reader gets it, so that the history is whole by then. */

import type { End, ReplyEvent } from "../events.js";
import type { Reply } from "../model.js";

export class TurnReply implements Reply {
  private readonly events: AsyncGenerator<ReplyEvent, void, void>;

  constructor(
    private readonly reply: Reply,
    private readonly onEnd: (end: End) => void,
  ) {
    this.events = this.noted();
  }

  [Symbol.asyncIterator](): AsyncGenerator<ReplyEvent, void, void> {
    return this.events;
  }

  stopThinking(): void {
    this.reply.stopThinking();
  }

  cancel(): void {
    this.reply.cancel();
  }

  abandon(): void {
    this.reply.abandon();
  }

  async end(): Promise<End> {
    while (!(await this.events.next()).done);
    return this.reply.end();
  }

  private async *noted(): AsyncGenerator<ReplyEvent, void, void> {
    for await (const event of this.reply) {
      if (event.type === "end") this.onEnd(event);
      yield event;
    }
  }
}

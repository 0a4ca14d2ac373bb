/** A model that runs in a worker, as the page holds it: the same interface as in one thread. */

import { Replies } from "../chat/conversation.js";
import type { Stop } from "../engine/stop.js";
import { unavailableError } from "../errors.js";
import type { ReplyEvent } from "../events.js";
import type { EncodeOptions, Model, Reply, ReplyOptions } from "../model.js";
import type { OpenOptions } from "../openModel.js";
import type { Message } from "../prompt/message.js";
import { type Events, type OnEnd, StreamedReply } from "../reply/streamedReply.js";
import type { Thinking } from "../thinking/thinking.js";
import { Line, type Opened, type OpenRequest, type Port, type Request } from "./protocol.js";

/** Open an artifact in a worker that serves models. It throws what `openModel` does; a worker that can't start is unavailable. */
export async function openInWorker(
  worker: Port,
  request: OpenRequest,
  { signal, onProgress }: Pick<OpenOptions, "signal" | "onProgress"> = {},
): Promise<Model> {
  const line = new Line(worker);
  const channel = new MessageChannel();
  const onAbort = (): void => channel.port1.postMessage("cancel");
  signal?.addEventListener("abort", onAbort);
  if (signal?.aborted) onAbort();
  try {
    const opened = (await line.call(request, channel, onProgress)) as Opened;
    return new WorkerModel(line, channel.port1, opened);
  } catch (error) {
    channel.port1.close();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

class WorkerModel extends Replies implements Model {
  readonly manifest;
  readonly report;
  readonly thinking: Thinking;
  private closed: Promise<unknown> | null = null;

  constructor(
    private readonly line: Line,
    private readonly port: MessagePort,
    { manifest, report, thinking }: Opened,
  ) {
    super();
    this.manifest = manifest;
    this.report = report;
    this.thinking = thinking;
  }

  begin(messages: readonly Message[], options: ReplyOptions, chat: Thinking | null, onEnd?: OnEnd): Reply {
    const channel = new MessageChannel(); // it keeps a wish until the worker has begun the reply
    const events = (stop: Stop): Events => this.events({ method: "begin", messages, options, chat }, channel, stop);
    return new StreamedReply(events, onEnd, (wish) => channel.port1.postMessage(wish));
  }

  async encode(messages: readonly Message[], options: EncodeOptions = {}): Promise<number[]> {
    return (await this.asked({ method: "encode", messages, options })) as number[];
  }

  async settle(messages: readonly Message[], options: EncodeOptions = {}): Promise<void> {
    await this.asked({ method: "settle", messages, options });
  }

  async close(): Promise<void> {
    await (this.closed ??= this.asked({ method: "close" }).finally(() => this.port.close())); // what an open port leads to stays in memory
  }

  private async asked(request: Request, channel = new MessageChannel(), onTold?: (told: never) => void): Promise<unknown> {
    try {
      if (this.closed) throw unavailableError("the model was closed: open it again");
      return await this.line.call(request, channel, onTold, this.port);
    } finally {
      channel.port1.close();
    }
  }

  private async *events(request: Request, channel: MessageChannel, stop: Stop): Events {
    const events: ReplyEvent[] = [];
    let heard: () => void = () => undefined;
    let over = false;
    const done = this.asked(request, channel, (event: ReplyEvent) => {
      events.push(event);
      heard();
    }).finally(() => {
      over = true;
      heard();
    });
    done.catch(() => undefined); // thrown below
    try {
      for (;;) {
        while (events.length) yield events.shift()!;
        if (over) break;
        await new Promise<void>((resolve) => (heard = resolve));
      }
      await done;
    } finally {
      if (!over) stop.abandon(); // the reader left
    }
  }
}

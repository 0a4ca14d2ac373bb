/** A model that runs in a worker, as the page holds it: the same interface as in one thread. */

import { Replies } from "../chat/conversation.js";
import { Stop, type Wish } from "../engine/stop.js";
import { unavailableError } from "../errors.js";
import type { ReplyEvent } from "../events.js";
import type { EncodeOptions, Model, OpenProgress, Reply, ReplyOptions } from "../model.js";
import type { Message } from "../prompt/message.js";
import { type OnEnd, StreamedReply } from "../reply/streamedReply.js";
import type { Thinking } from "../thinking/thinking.js";
import { type Answer, type OpenRequest, type Opened, type Port, toError, type Unnumbered } from "./protocol.js";

/** Options of `openInWorker` that stay on the page's side. */
export interface PageOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: OpenProgress) => void;
}

/** Open an artifact in a worker that serves models. It throws what `openModel` does; a worker that can't start is unavailable. */
export async function openInWorker(worker: Port, request: OpenRequest, { signal, onProgress }: PageOptions = {}): Promise<Model> {
  const line = new Line(worker);
  const number = line.next();
  const onAbort = (): void => line.post({ method: "wish", wish: "cancel" }, number);
  signal?.addEventListener("abort", onAbort);
  try {
    const opened = line.asked({ method: "open", request }, number, (answer) => {
      if (answer.kind === "progress") onProgress?.(answer.progress);
    });
    if (signal?.aborted) onAbort();
    return new WorkerModel(line, number, (await opened) as Opened);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

type OnAnswer = (answer: Answer) => void;

/** The page's end of the line to a worker. All lines count on: what a worker owes to an earlier one is not another's. */
class Line {
  private static last = 0;
  private readonly listening = new Map<number, OnAnswer>();
  private broken: string | null = null;

  constructor(private readonly port: Port) {
    port.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.listening.get(data.number)?.(data));
    (port as Partial<Worker>).addEventListener?.("error", ({ message }: ErrorEvent) => this.failed(message));
  }

  next(): number {
    return ++Line.last;
  }

  post(request: Unnumbered, number: number): void {
    this.port.postMessage({ ...request, number });
  }

  /** Ask, hear what comes, and settle with what the request ended with. */
  asked(request: Unnumbered, number = this.next(), onAnswer: OnAnswer = () => undefined): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.broken !== null) return reject(unavailableError(this.broken));
      this.listening.set(number, (answer) => {
        onAnswer(answer);
        if (answer.kind === "progress" || answer.kind === "event") return;
        this.listening.delete(number);
        if (answer.kind === "result") resolve(answer.result);
        else reject(toError(answer));
      });
      this.post(request, number);
    });
  }

  private failed(message: string): void {
    this.broken = `the model's worker failed (${message || "its script can't be loaded"}): open the model again`;
    for (const [number, onAnswer] of this.listening) onAnswer({ number, kind: "error", code: "unavailable", message: this.broken });
  }
}

class WorkerModel extends Replies implements Model {
  readonly manifest;
  readonly report;
  readonly thinking: Thinking;

  constructor(
    private readonly line: Line,
    private readonly number: number,
    { manifest, report, thinking }: Opened,
  ) {
    super();
    this.manifest = manifest;
    this.report = report;
    this.thinking = thinking;
  }

  begin(messages: readonly Message[], options: ReplyOptions, chat: Thinking | null, onEnd?: OnEnd): Reply {
    const number = this.line.next();
    const early: Wish[] = []; // the worker knows the reply once it is begun
    let begun = false;
    const tell = (wish: Wish): void => void (begun ? this.line.post({ method: "wish", wish }, number) : early.push(wish));
    const onBegin = (): void => {
      begun = true;
      early.forEach(tell);
    };
    const stop = new Stop(tell);
    return new StreamedReply(this.events({ method: "begin", model: this.number, messages, options, chat }, number, stop, onBegin), stop, onEnd);
  }

  async encode(messages: readonly Message[], options: EncodeOptions = {}): Promise<number[]> {
    return (await this.line.asked({ method: "encode", model: this.number, messages, options })) as number[];
  }

  async settle(messages: readonly Message[], options: EncodeOptions = {}): Promise<void> {
    await this.line.asked({ method: "settle", model: this.number, messages, options });
  }

  async close(): Promise<void> {
    await this.line.asked({ method: "close", model: this.number });
  }

  private async *events(request: Unnumbered, number: number, stop: Stop, onBegin: () => void): AsyncGenerator<ReplyEvent, void, void> {
    const events: ReplyEvent[] = [];
    let heard: () => void = () => undefined;
    let over = false;
    const done = this.line
      .asked(request, number, (answer) => {
        if (answer.kind === "event") events.push(answer.event);
        heard();
      })
      .finally(() => {
        over = true;
        heard();
      });
    done.catch(() => undefined); // thrown below
    onBegin();
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

/**
 * Replies by the engine in this browser. Knows a loaded model's interface, whichever thread runs it; must not know how
 * its files came.
 */

import type { Model, Reply as EngineReply, ReplyOptions, ReplyEvent as EngineEvent } from "@thinkport/engine";
import type { About, Reply, ReplyEvent, ReplyRequest, Speed, Transport } from "./transport";
import { Trouble } from "./trouble";

export class EngineTransport implements Transport {
  readonly place = "browser";
  private last: Promise<unknown> = Promise.resolve(); // the model's one cache serves one reply after the other

  /** `name` is what the page calls the model; `model` may still be loading. */
  constructor(
    private readonly name: string,
    private readonly model: Promise<Model>,
  ) {}

  async about(): Promise<About> {
    const { manifest, report, thinking } = await this.model.catch((error: unknown) => {
      throw troubleOf(error);
    });
    const switched = thinking.enabled ?? (manifest.enable_thinking === false ? "off" : "auto");
    const canThink = manifest.thinking !== null;
    return {
      model: this.name,
      chats: true,
      canThink,
      context: report.contextLength,
      thinking: { on: canThink && switched !== "off", budget: thinking.budget },
      thoughts: 1,
      mostThoughts: 1,
      presets: manifest.sampling,
      runsOn: `${report.provider} · ${report.graph}`,
      reason: reasonOf(report),
      attempts: report.graphs.map(({ file, taken, reason }) => ({
        graph: file,
        place: "this browser",
        outcome: taken ? "used" : "passed over",
        reason,
      })),
      ending: false,
      keyNeeded: false,
    };
  }

  async useKey(): Promise<boolean> {
    return true;
  }

  reply(request: ReplyRequest): Reply {
    return new BrowserReply(this.model, request, (reply) => {
      const before = this.last;
      this.last = before.then(() => reply);
      return before;
    });
  }
}

/**
 * | a wish      | while it waits for model or turn   | while the reply runs    |
 * |-------------|------------------------------------|-------------------------|
 * | `answerNow` | is told once the reply has begun   | closes the thought      |
 * | `stop`      | ends the reply, which never begins | ends it, with figures   |
 */
class BrowserReply implements Reply {
  private running: EngineReply | null = null;
  private hurried = false;
  private end: () => void = () => undefined;
  private readonly stopped = new Promise<null>((resolve) => (this.end = () => resolve(null)));

  constructor(
    private readonly model: Promise<Model>,
    private readonly request: ReplyRequest,
    /** Queues a reply, which lasts as long as its promise; gives what it waits for. */
    private readonly queue: (reply: Promise<void>) => Promise<unknown>,
  ) {}

  async *events(): AsyncGenerator<ReplyEvent> {
    const speed = new LiveSpeed();
    let over: () => void = () => undefined;
    const turn = this.queue(new Promise((resolve) => (over = resolve)));
    try {
      const model = await Promise.race([turn.then(() => this.model), this.stopped]);
      if (model === null) return;
      this.running = model.stream(this.request.messages.map((one) => ({ ...one })), optionsOf(this.request));
      if (this.hurried) this.running.stopThinking();
      for await (const event of this.running) yield* toldOf(event, speed);
    } catch (error) {
      throw troubleOf(error);
    } finally {
      over();
    }
  }

  async answerNow(): Promise<void> {
    this.hurried = true;
    this.running?.stopThinking();
  }

  async stop(): Promise<void> {
    this.end();
    this.running?.cancel();
  }
}

/** How fast the part of a reply that is being written goes, since its first piece. */
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

function optionsOf({ thinking, sampling }: ReplyRequest): ReplyOptions {
  const { seed, max_tokens: maxTokens, ...drawing } = sampling;
  const chosen = thinking && { enabled: thinking.on ? ("on" as const) : ("off" as const), budget: thinking.on ? thinking.budget : null };
  return { thinking: chosen, sampling: drawing, seed: seed ?? null, maxTokens: maxTokens ?? null, settle: true };
}

function* toldOf(event: EngineEvent, live: LiveSpeed): Generator<ReplyEvent> {
  if (event.type === "end") {
    const { promptTokens: prompt, cachedTokens: cached, thinkingEnd, answerEnd, thinking: thought, answering: answer } = event;
    yield { kind: "end", thinkingEnd, answerEnd, figures: { prompt, cached, thought, answer } };
  } else if ((event.type === "thought" || event.type === "answer") && event.text !== "") {
    yield { kind: event.type, text: event.text, speed: live.of(event.type, event.tokens) };
  }
}

function reasonOf(report: Model["report"]): string {
  const threads = report.threads === null ? "" : `, ${report.threads} thread${report.threads === 1 ? "" : "s"}`;
  return `${report.graph} runs on ${report.provider}${threads}`;
}

/** What the engine throws on purpose, as the page's trouble, and any other error as it is. */
function troubleOf(error: unknown): unknown {
  return error instanceof Error && error.name === "ThinkportError" ? new Trouble("refused", error.message) : error;
}

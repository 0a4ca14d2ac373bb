/** A loaded artifact in the thread that runs it: one KV cache, and one reply at a time over it. */

import type { Manifest } from "./artifact/manifest.js";
import { Replies, saidMessage } from "./chat/conversation.js";
import { HeldSequence, type HeldUse } from "./engine/heldSequence.js";
import type { Lane } from "./engine/lane.js";
import { Stop } from "./engine/stop.js";
import { prefill } from "./engine/tokenLoop.js";
import { unavailableError } from "./errors.js";
import type { End } from "./events.js";
import type { EncodeOptions, Model, ModelReport, Reply, ReplyOptions } from "./model.js";
import type { Message } from "./prompt/message.js";
import type { ChatTemplate } from "./prompt/template.js";
import type { ModelTokenizer } from "./prompt/tokenizer.js";
import { ReplyMaker, type PreparedReply } from "./reply/replyMaker.js";
import { type Events, type OnEnd, StreamedReply } from "./reply/streamedReply.js";
import type { Thinking } from "./thinking/thinking.js";

export class LoadedModel extends Replies implements Model {
  private readonly replies: ReplyMaker;
  private readonly held: HeldSequence;
  private replying: HeldUse | null = null; // the reply in progress
  private ahead: Stop | null = null; // of the prefill for a later turn
  private closed = false;

  constructor(
    readonly manifest: Manifest,
    tokenizer: ModelTokenizer,
    template: ChatTemplate,
    readonly thinking: Thinking,
    lane: Lane,
    readonly report: ModelReport,
  ) {
    super();
    this.replies = new ReplyMaker(manifest, tokenizer, template, thinking);
    this.held = new HeldSequence(lane);
  }

  begin(messages: readonly Message[], options: ReplyOptions, chat: Thinking | null, onEnd?: OnEnd): Reply {
    this.checkOpen();
    const prepared = this.replies.prepare(messages, options, chat);
    return new StreamedReply((stop) => this.events(prepared, messages, stop), onEnd);
  }

  async encode(messages: readonly Message[], options: EncodeOptions = {}): Promise<number[]> {
    this.checkOpen();
    return this.replies.prompts.encode(messages, options);
  }

  async settle(messages: readonly Message[], options: EncodeOptions = {}): Promise<void> {
    this.checkOpen();
    const ids = this.replies.prompts.history(messages, options);
    if (this.replying || !ids.length) return;
    this.ahead?.cancel();
    const stop = (this.ahead = new Stop());
    try {
      await prefill(this.held.begin(), ids, stop);
    } catch (error) {
      if (!stop.cancelled) throw error; // a reply that began has the KV cache
    }
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.ahead?.cancel();
    await this.held.close();
  }

  private async *events(prepared: PreparedReply, messages: readonly Message[], stop: Stop): Events {
    this.checkOpen();
    this.ahead?.cancel();
    const use = (this.replying = this.held.begin());
    const { decision, options } = prepared;
    const onEnd = (end: End): void => {
      if (this.replying === use) this.replying = null;
      if (!options.settle) return;
      const next = { tools: options.tools ?? null, enableThinking: decision.hard };
      void this.settle([...messages, saidMessage(end)], next).catch(() => undefined); // losing a prefill costs time only
    };
    try {
      yield* this.replies.events(prepared, use, stop, onEnd);
    } finally {
      if (this.replying === use) this.replying = null;
    }
  }

  private checkOpen(): void {
    if (this.closed) throw unavailableError("the model was closed: open it again");
  }
}

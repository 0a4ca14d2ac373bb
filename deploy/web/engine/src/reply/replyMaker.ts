/**
 * Makes the replies of one model: everything between a request and the first token. Knows tokenizer, template, manifest
 * and defaults, and one KV cache; refuses what can't be run.
 */

import type { Manifest, SamplingPreset } from "../artifact/manifest.js";
import { commonPrefix, type HeldUse } from "../engine/heldSequence.js";
import { randomOf, Sampler, sampling } from "../engine/sampling.js";
import type { Stop } from "../engine/stop.js";
import { TokenLoop } from "../engine/tokenLoop.js";
import { contextError, inputError } from "../errors.js";
import type { ReplyOptions } from "../model.js";
import { checked, type CheckedMessage, type Message } from "../prompt/message.js";
import { PromptEncoder } from "../prompt/promptEncoder.js";
import { ReplyMemory, spellingsOf } from "../prompt/replyMemory.js";
import type { ChatTemplate } from "../prompt/template.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";
import { asThinking, decide, type Decision, type Opening, opening, switched, type Thinking } from "../thinking/thinking.js";
import { Boundaries, ThoughtControl } from "../thinking/thoughtControl.js";
import { ToolBox } from "../tools/toolCalls.js";
import { ReplyRun } from "./replyRun.js";
import { CALL_START, ReplySplitter } from "./replySplitter.js";
import type { Events, OnEnd } from "./streamedReply.js";

/** A request that was checked, with its prompt and what was decided for it. */
export interface PreparedReply {
  readonly prompt: readonly number[];
  readonly decision: Decision;
  readonly thinking: Thinking;
  readonly opening: Opening;
  readonly settings: SamplingPreset;
  readonly toolbox: ToolBox;
  readonly options: ReplyOptions;
}

export class ReplyMaker {
  private readonly memory = new ReplyMemory();
  readonly prompts: PromptEncoder;
  private readonly boundaries: Boundaries;
  private readonly header: readonly number[];

  /** `thinking` holds for requests that don't say. */
  constructor(
    readonly manifest: Manifest,
    readonly tokenizer: ModelTokenizer,
    readonly template: ChatTemplate,
    readonly thinking: Thinking,
  ) {
    this.prompts = new PromptEncoder(tokenizer, template, this.memory);
    this.boundaries = new Boundaries(tokenizer);
    this.header = tokenizer.encode(template.replyHeader);
  }

  /** Check a request, decide whether it thinks, and make its prompt; `chat` is how its chat thinks. */
  prepare(messages: readonly Message[], options: ReplyOptions, chat: Thinking | null): PreparedReply {
    const asked = checked(messages);
    this.checkLength(asked);
    const toolbox = new ToolBox(options.tools ?? []);
    const call = asThinking(options.thinking, chat ?? this.thinking);
    const decision = this.decide(asked, call, chat);
    const prompt = this.prompts.encode(asked, { tools: options.tools, enableThinking: decision.hard });
    const ids = this.manifest.thinking;
    const thinking = call ?? chat ?? this.thinking;
    const thinks = ids !== null && decision.enabled !== "off" && thinking.budget !== 0;
    const preset = thinks ? this.manifest.sampling.thinking : this.manifest.sampling.answering;
    return {
      prompt,
      decision,
      thinking,
      opening: switched(opening(prompt, ids, this.tokenizer), decision.hard),
      settings: sampling(preset, options.sampling),
      toolbox,
      options,
    };
  }

  /** Events of a reply over a KV cache, whose first token is run when its first event is asked for. */
  events(prepared: PreparedReply, use: HeldUse, stop: Stop, onEnd: OnEnd): Events {
    const { prompt, decision, options } = prepared;
    const forced: number[] = [];
    const room = use.limits.contextLength - prompt.length;
    const control = this.control(prepared, Math.min(options.maxTokens ?? room, room), forced, stop);
    const shapers = control ? [(logits: Float32Array) => control.shape(logits)] : [];
    const sampler = new Sampler(prepared.settings, randomOf(options.seed), shapers);
    const { stop_ids, thinking } = this.manifest;
    const loop = new TokenLoop({ use, prompt, sampler, stopIds: new Set(stop_ids), maxTokens: options.maxTokens ?? null, forced, stop });
    const splitter = new ReplySplitter(this.tokenizer, thinking, prepared.opening, prepared.toolbox);
    return new ReplyRun(loop, prompt.length, decision, splitter, control).events(stop, (end) => {
      this.remember(end.answer, prompt, end.ids);
      onEnd(end);
    });
  }

  private decide(messages: readonly CheckedMessage[], call: Thinking | null, chat: Thinking | null): Decision {
    const can = this.manifest.thinking !== null;
    const heard = can && this.template.hasSwitch ? messages : []; // without a switch no model was taught soft ones
    const decision = decide(heard, { call, chat, model: this.thinking }, this.manifest.enable_thinking ?? null);
    if (decision.enabled !== "on") return decision;
    if (!can) throw inputError("this model can't think: its artifact names no thinking markers; switch thinking off or to auto");
    if (!this.template.knowsThoughts) {
      throw inputError(
        "thinking can't be switched on: this model's chat template knows no thoughts, as that of a model which only " +
          "answers; switch thinking off or to auto",
      );
    }
    return decision;
  }

  private control(prepared: PreparedReply, limit: number, forced: number[], stop: Stop): ThoughtControl | null {
    const { thinking: ids, stop_ids: stopIds } = this.manifest;
    if (!ids) return null;
    const { opening: begin, decision, thinking: settings } = prepared;
    const { tokenizer, boundaries } = this;
    return new ThoughtControl({ ids, begin, switch: decision.enabled, settings, limit, tokenizer, boundaries, stopIds, forced, stop });
  }

  private checkLength(messages: readonly CheckedMessage[]): void {
    const context = this.manifest.model.context_length;
    const least = messages.reduce((sum, { content }) => sum + this.tokenizer.leastTokens(content, context), 0);
    if (least > context) {
      throw contextError(
        `the prompt has more than ${least} tokens, the model's maximum context length is ${context} with the reply: ` +
          "shorten the prompt or start a new chat",
      );
    }
  }

  /** Keep a reply's ids, after what the generation prompt wrote of it: a thought that it opened or left out. */
  private remember(answer: string, prompt: readonly number[], reply: readonly number[]): void {
    const { header } = this;
    let at = header.length ? prompt.length - header.length : -1;
    while (at >= 0 && commonPrefix(header, prompt.slice(at, at + header.length)) < header.length) at--;
    const begun = at < 0 ? [] : prompt.slice(at + header.length);
    const call = this.tokenizer.added.get(CALL_START);
    this.memory.remember(answer, spellingsOf([...begun, ...reply], this.tokenizer, this.manifest.thinking, call));
  }
}

/** A conversation over anything that gives replies to messages: the model itself, or its other side in another thread. */

import { inputError } from "../errors.js";
import type { End } from "../events.js";
import type { Chat, ChatOptions, EncodeOptions, Reply, ReplyOptions } from "../model.js";
import { checked, type Message, type MessageCall } from "../prompt/message.js";
import type { OnEnd } from "../reply/streamedReply.js";
import { asThinking, type Thinking } from "../thinking/thinking.js";
import { messageCalls } from "../tools/toolCalls.js";

/** What gives replies: a model's part that is the same in its own thread and in another one. */
export abstract class Replies {
  abstract readonly thinking: Thinking;
  /** `chat` is how a conversation thinks where a call does not say; `onEnd` hears the end first. */
  abstract begin(messages: readonly Message[], options: ReplyOptions, chat: Thinking | null, onEnd?: OnEnd): Reply;
  abstract settle(messages: readonly Message[], options?: EncodeOptions): Promise<void>;

  stream(prompt: string | readonly Message[], options: ReplyOptions = {}): Reply {
    return this.begin(typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt, options, null);
  }

  chat(options: ChatOptions = {}): Chat {
    return new Conversation(this, options);
  }
}

/** A turn that begins while another goes on ends that one, which then does not join the history. */
export class Conversation implements Chat {
  private history: readonly Message[];
  private readonly thinking: Thinking | null;
  private going: Reply | null = null;

  constructor(
    private readonly model: Replies,
    private readonly options: ChatOptions = {},
  ) {
    const { system, messages = [], thinking } = options;
    this.thinking = asThinking(thinking, model.thinking);
    this.history = [...(system === undefined ? [] : [{ role: "system", content: system } as const]), ...messages];
  }

  get messages(): readonly Message[] {
    return this.history;
  }

  /** Replaces the history; a reply in progress no longer joins it. Throws an input error for messages that can't be. */
  set messages(messages: readonly Message[]) {
    this.history = messages.length ? checked(messages) : [];
    this.leave();
  }

  stream(text: string, options: ReplyOptions = {}): Reply {
    if (typeof text !== "string") throw inputError(`what the user says is ${typeof text}, expected a text`);
    return this.begin([...this.history, { role: "user", content: text }], options);
  }

  streamResults(results: Readonly<Record<string, string>> | readonly string[], options: ReplyOptions = {}): Reply {
    const calls = this.history.at(-1)?.tool_calls;
    if (!calls?.length) throw inputError("the last message calls no tools, expected one that does: send a text instead");
    return this.begin([...this.history, ...resultMessages(calls, results)], options);
  }

  retry(options: ReplyOptions = {}): Reply {
    const last = this.history.findLastIndex((message) => message.role !== "assistant");
    if (last < 0 || this.history[last]!.role === "system") {
      throw inputError("there is nothing to reply to again: say something first");
    }
    return this.begin(this.history.slice(0, last + 1), options);
  }

  undo(): string | null {
    const at = this.history.findLastIndex((message) => message.role === "user");
    if (at < 0) return null;
    const said = checked([this.history[at]!])[0]!.content;
    this.messages = this.history.slice(0, at);
    return said;
  }

  async settle(): Promise<void> {
    if (this.history.length) await this.model.settle(this.history, { tools: this.options.tools ?? null });
  }

  private begin(asked: readonly Message[], options: ReplyOptions): Reply {
    const { tools = null, sampling = null, settle = true } = this.options;
    const given = Object.entries(options).filter(([, value]) => value !== null && value !== undefined);
    const reply = this.model.begin(asked, { tools, sampling, settle, ...Object.fromEntries(given) }, this.thinking, (end) => {
      if (this.going === reply) this.history = [...asked, saidMessage(end)];
    });
    this.leave();
    this.going = reply;
    return reply;
  }

  private leave(): void {
    this.going?.abandon();
    this.going = null;
  }
}

/** A reply as a message of the history. A thought is named even where there is none if a template might find one in the text. */
export function saidMessage(end: End): Message {
  return {
    role: "assistant",
    content: end.answer,
    ...(end.thought || end.answer.includes("</think>") ? { reasoning_content: end.thought } : {}),
    ...(end.toolCalls.length ? { tool_calls: messageCalls(end.toolCalls) } : {}),
  };
}

function resultMessages(calls: readonly MessageCall[], results: Readonly<Record<string, string>> | readonly string[]): Message[] {
  const ids = calls.map((call, at) => call.id ?? `call_${at}`); // an edited history may have none
  const given: Record<string, unknown> = Array.isArray(results)
    ? Object.fromEntries(results.map((result, at) => [ids[at] ?? `more_${at}`, result]))
    : { ...results };
  const keys = Object.keys(given);
  if (keys.length !== ids.length || !ids.every((id) => id in given)) {
    throw inputError(`${keys.length} results for the calls ${ids.join(", ")}, expected one for each: answer every call`);
  }
  return ids.map((id) => {
    const content = given[id];
    if (typeof content !== "string") throw inputError(`the result of ${id} is ${typeof content}, expected a text: write it as JSON`);
    return { role: "tool", tool_call_id: id, content };
  });
}

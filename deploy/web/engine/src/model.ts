/** The interface of a loaded artifact. It is the same in the thread that runs the model and in one that speaks to it. */

import type { Manifest, SamplingPreset } from "./artifact/manifest.js";
import type { End, ReplyEvent } from "./events.js";
import type { Message, Tool } from "./prompt/message.js";
import type { Thinking, ThinkingAsked } from "./thinking/thinking.js";

/** Values of a sampling preset, which replace those of the mode's own; a topK of 0 is no limit. */
export type SamplingAsked = Partial<SamplingPreset>;

/** Options of one reply; what is left out is the chat's, then the model's. */
export interface ReplyOptions {
  readonly thinking?: ThinkingAsked | null;
  /** The most tokens of the reply, thought included. */
  readonly maxTokens?: number | null;
  readonly sampling?: SamplingAsked | null;
  /** Draws the same tokens again. */
  readonly seed?: number | null;
  readonly tools?: readonly Tool[] | null;
  /** Feed the reply to the KV cache in the idle time after it, as the next turn will need it. */
  readonly settle?: boolean | null;
}

/** Events of a reply as they come, the last one its end. Read it once; end its thought or the reply at any time. */
export interface Reply extends AsyncIterable<ReplyEvent> {
  /** Close the thought at its next token, so that the answer comes. */
  stopThinking(): void;
  /** End the reply at its next token; it has an end, and what came so far is kept. */
  cancel(): void;
  /** End the reply at its next token without an end, so that nothing of it is kept. */
  abandon(): void;
  /** Run the reply to its end. Throws an input error where it was abandoned. */
  end(): Promise<End>;
}

/** A conversation. `messages` is its history, which may be replaced between turns. One turn at a time. */
export interface Chat {
  messages: readonly Message[];
  /** The reply to a user's text; both join the history when the end is reached. */
  stream(text: string, options?: ReplyOptions): Reply;
  /** The reply to what the tools gave: texts by call id, or in the order of the calls. */
  streamResults(results: Readonly<Record<string, string>> | readonly string[], options?: ReplyOptions): Reply;
  /** Another reply to the last message that is not the model's; at its end it replaces the old one. */
  retry(options?: ReplyOptions): Reply;
  /** Take the user's last message and all that follows out of the history; its text, null if there is none. */
  undo(): string | null;
  /**
   * Feed the history to the KV cache as the next turn needs it, and wait for that. Templates drop the thoughts of earlier
   * turns, so the cache is rewound to where the thought began and the answer fed again. Turns do it by themselves.
   */
  settle(): Promise<void>;
}

/** What a conversation begins with; it holds for every turn that does not say otherwise. */
export interface ChatOptions {
  readonly system?: string;
  readonly messages?: readonly Message[];
  readonly thinking?: ThinkingAsked | null;
  readonly tools?: readonly Tool[];
  readonly sampling?: SamplingAsked;
  /** Whether a finished turn is fed to the KV cache in the idle time after it; true unless said otherwise. */
  readonly settle?: boolean;
}

/** Why a graph was taken or not. */
export interface GraphVerdict {
  readonly file: string;
  readonly taken: boolean;
  readonly reason: string;
}

/** Where a model runs. `score` is the golden check's, null where the artifact has none; `kept`: the verdict was known. */
export interface ModelReport {
  readonly provider: string;
  readonly graph: string;
  readonly kv: string;
  readonly threads: number | null;
  /** The most tokens of a conversation: the model's own context, what was asked for, or what the device has room for. */
  readonly contextLength: number;
  readonly graphs: readonly GraphVerdict[];
  readonly goldens: { readonly correlation: number; readonly kl: number; readonly top1: number; readonly kept: boolean } | null;
  readonly seconds: { readonly files: number; readonly session: number; readonly goldens: number };
}

/** Progress of opening: bytes of `total` that were read or checked, or prompts of goldens that were run. */
export interface OpenProgress {
  readonly stage: "files" | "session" | "goldens";
  readonly done: number;
  readonly total: number;
}

/**
 * A loaded artifact with one KV cache. A reply goes on from what its prompt and the cache begin with, so one conversation
 * costs only what is new, and another one computes its own again. A reply that begins ends one that goes on.
 */
export interface Model {
  readonly manifest: Manifest;
  readonly report: ModelReport;
  /** How replies think unless a chat or a call says otherwise. */
  readonly thinking: Thinking;
  /** Events of one reply to a user's text or to messages. */
  stream(prompt: string | readonly Message[], options?: ReplyOptions): Reply;
  chat(options?: ChatOptions): Chat;
  /** The prompt's ids, generation prompt included; added tokens that a message spells are plain text. */
  encode(messages: readonly Message[], options?: EncodeOptions): Promise<number[]>;
  /** Make the KV cache hold what every prompt after these messages begins with. A reply in progress goes before. */
  settle(messages: readonly Message[], options?: EncodeOptions): Promise<void>;
  /** Free the graph and its memory. */
  close(): Promise<void>;
}

export interface EncodeOptions {
  readonly tools?: readonly Tool[] | null;
  /** What the template is told of thinking; left out, it takes its own default. */
  readonly enableThinking?: boolean | null;
}

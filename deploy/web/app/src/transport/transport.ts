/**
 * What a reply comes from, be it a server or an engine in this browser: what is asked, and what is told of it.
 * Knows requests and events. Must not know the page.
 */

/** Tokens of a part of a reply, and how many came a second; null where that can't be told yet. */
export interface Speed {
  tokens: number;
  perSecond: number | null;
}

/** What a whole reply cost. `prompt` counts all tokens of the prompt, `cached` those that were not run again. */
export interface Figures {
  prompt: number;
  cached: number;
  thought: Speed;
  answer: Speed;
}

/** A thought that was not chosen. `answer` is what it answered, null where it did not. */
export interface OtherThought {
  thought: string;
  tokens: number;
  answer: string | null;
}

/** How the thought was chosen, where several were written at the same time. `reason` says it in words. */
export interface ParallelThoughts {
  reason: string;
  others: OtherThought[];
}

/** How far several thoughts have come, in tokens, and how many of them have ended. */
export interface ThoughtsProgress {
  tokens: number[];
  ended: number;
}

/**
 * A reply's events, in their order; the last one is `end`. `speed` is that of the part so far. `thoughts` come while
 * none of several thoughts is chosen; the chosen one's text follows.
 */
export type ReplyEvent =
  | { kind: "thought" | "answer"; text: string; speed: Speed | null }
  | { kind: "thoughts"; progress: ThoughtsProgress }
  | { kind: "end"; thinkingEnd: string; answerEnd: string; figures: Figures; parallel?: ParallelThoughts };

/**
 * Whether to think, the most tokens of a thought (null for no limit), and how many thoughts are written at the same
 * time and vote (left out where nobody chose).
 */
export interface ThinkingChoice {
  on: boolean;
  budget: number | null;
  width?: number;
}

/** What tokens are drawn by. What is left out is the model's own preset. */
export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  presence_penalty?: number;
  repetition_penalty?: number;
  seed?: number;
  max_tokens?: number;
}

export type SamplingName = keyof Sampling;

/** A message as a chat template takes it. */
export interface Said {
  role: "system" | "user" | "assistant";
  content: string;
  reasoning_content?: string;
}

/** `thinking` is null where nobody chose: the model's own settings hold. */
export interface ReplyRequest {
  messages: Said[];
  thinking: ThinkingChoice | null;
  sampling: Sampling;
}

/** One reply. `events` may be read once; it throws `Trouble` where the reply can't be had. */
export interface Reply {
  events(): AsyncIterable<ReplyEvent>;
  /** Close the thought; the answer comes. */
  answerNow(): Promise<void>;
  /** End the reply; `events` still tells its end and its figures. */
  stop(): Promise<void>;
}

/** A graph that was considered for this machine, and what became of it. */
export interface Attempt {
  graph: string;
  place: string;
  outcome: string;
  reason: string;
}

/** What runs, where, and how it replies unless told otherwise. */
export interface About {
  model: string;
  chats: boolean;
  canThink: boolean;
  context: number | null;
  thinking: ThinkingChoice;
  /** How many thoughts a reply has at the same time unless told otherwise, and at most. */
  thoughts: number;
  mostThoughts: number;
  presets: { thinking: Sampling; answering: Sampling } | null;
  runsOn: string;
  reason: string;
  attempts: Attempt[];
  ending: boolean;
  keyNeeded: boolean;
}

export interface Transport {
  /** Where the model runs. */
  readonly place: "server" | "browser";
  /** Ask what runs; throws `Trouble` where nobody answers. */
  about(): Promise<About>;
  /** Whether a key is right; it is used from then on. */
  useKey(key: string): Promise<boolean>;
  reply(request: ReplyRequest): Reply;
}

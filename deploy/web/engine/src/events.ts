/** What a streamed reply is made of: pieces of thought and its end, pieces of answer, tool calls, and one end with the figures. */

import type { DecidedBy, Switch, ThinkingEnd } from "./thinking/thinking.js";

/** Why a reply ended: a stop id, the caller's limit, the model's context, or `cancel`. */
export type Finish = "stop" | "length" | "context" | "cancelled";

/** More text of a part. `tokens` counts what the model wrote of the part so far; `forced`: the engine wrote this piece. */
interface TextPiece<Part> {
  readonly type: Part;
  readonly text: string;
  readonly forced: boolean;
  readonly tokens: number;
}

export type ThoughtPiece = TextPiece<"thought">;
export type AnswerPiece = TextPiece<"answer">;

/**
 * A call that the model asks for, whole. `text` is what it wrote between the tags. `problem` is null, or says in a
 * sentence what is wrong with the call; `args` is null where they are no JSON object, `name` empty where none was given.
 */
export interface ToolCall {
  readonly type: "tool_call";
  readonly id: string;
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>> | null;
  readonly text: string;
  readonly problem: string | null;
}

/** Tokens of one part of a reply and the seconds they took; `perSecond` is null where no token or no time was counted. */
export interface Speed {
  readonly tokens: number;
  readonly seconds: number;
  readonly perSecond: number | null;
}

/**
 * The end of the thought: why it ended, and what it took. It comes once, behind the thought's last piece and before
 * anything of the answer, in every reply whose `thinkingEnd` is neither off nor none; `reason` is that value.
 */
export interface ThoughtEnd {
  readonly type: "thought_end";
  readonly reason: ThinkingEnd;
  readonly thinking: Speed;
}

/**
 * The end of a reply: all of its text, why its parts ended, and what it took.
 *
 * `thought` and `answer` are the sums of the pieces. `enabled` is how thinking was switched for this reply, `decidedBy`
 * who switched it. Markers, tags and stop tokens count in neither part's tokens, nor does what the engine wrote, whose
 * tokens are `forcedTokens`. `cachedTokens` of the `promptTokens` were in the KV cache; `prefill` counts the others, up
 * to the first token. `ids` are the reply's tokens, what ended it left out.
 */
export interface End {
  readonly type: "end";
  readonly thought: string;
  readonly answer: string;
  readonly toolCalls: readonly ToolCall[];
  readonly thinkingEnd: ThinkingEnd;
  readonly answerEnd: Finish;
  readonly enabled: Switch;
  readonly decidedBy: DecidedBy;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly forcedTokens: number;
  readonly ids: readonly number[];
  readonly prefill: Speed;
  readonly thinking: Speed;
  readonly answering: Speed;
}

export type ReplyEvent = ThoughtPiece | ThoughtEnd | AnswerPiece | ToolCall | End;

export const speed = (tokens: number, seconds: number): Speed => ({
  tokens,
  seconds,
  perSecond: tokens && seconds ? tokens / seconds : null,
});

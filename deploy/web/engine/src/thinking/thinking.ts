/**
 * How a reply may think: the settings, who decides and with which part it begins, and why a thought ended.
 * `thoughtControl.ts` does it.
 *
 * Qwen's two kinds of switch (https://github.com/QwenLM/Qwen3, "Switching Between Thinking and Non-Thinking Mode"): the
 * hard one is the template's `enable_thinking`; the soft ones are `/think` and `/no_think` in a user or system message,
 * of which the latest counts, and only while the hard one is not off.
 */

import type { ThinkingIds } from "../artifact/manifest.js";
import { inputError } from "../errors.js";
import type { CheckedMessage } from "../prompt/message.js";
import type { ModelTokenizer } from "../prompt/tokenizer.js";

/** https://github.com/QwenLM/Qwen3, "thinking budget" */
export const QWEN_MESSAGE =
  "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking directly now.\n";

/** Thinking on, off, or left to the model, as its template has it. */
export type Switch = "on" | "off" | "auto";

/** Who switched a reply's thinking: the call, the chat, the model's default, a message's `/think` or `/no_think`, or nobody. */
export type DecidedBy = "call" | "chat" | "model" | "message" | "template";

/**
 * Why thinking ended. off: it was switched off. none: it was left to the model, which did not begin. natural: the model
 * closed the thought. soft: the model closed it where closing had been made likelier. budget: its budget was spent.
 * reserve: the rest of maxTokens or of the context is the answer's. loop: it repeated itself. user: `stopThinking`.
 * length, context, cancelled: the reply ended within the thought, before anything else closed it.
 */
export type ThinkingEnd =
  | "off" | "none" | "natural" | "soft" | "budget" | "reserve" | "loop" | "user" | "length" | "context" | "cancelled";

/**
 * How a reply may think.
 *
 * enabled: null takes what the chat, then the model, then the manifest says. budget: the most tokens that the model may
 * think, null for no limit of its own, 0 for an empty thought. softFrom: the share of the budget from which closing the
 * thought is made likelier at the ends of sentences and lines; null leaves the cut at the budget alone. softLift: the
 * most that its logit is raised by for that. message: what is written before `</think>` where a thought is closed for
 * the model. answerReserve: tokens of maxTokens and of the context that are the answer's, at most half of either.
 * stopLoops: close a thought that repeats itself.
 */
export interface Thinking {
  readonly enabled: Switch | null;
  readonly budget: number | null;
  readonly softFrom: number | null;
  readonly softLift: number;
  readonly message: string;
  readonly answerReserve: number;
  readonly stopLoops: boolean;
}

/** What a caller says of thinking: a switch alone, or settings, of which what is left out has its default. */
export type ThinkingAsked = boolean | Switch | Partial<Thinking>;

export const THINKING: Thinking = {
  enabled: null,
  budget: null,
  softFrom: null,
  softLift: 12,
  message: QWEN_MESSAGE,
  answerReserve: 256,
  stopLoops: true,
};

const SWITCHES: readonly unknown[] = ["on", "off", "auto", null];

/**
 * What a `thinking` argument means over a default: a switch changes the default's own, settings replace it whole. Null
 * where nothing was said. Throws an input error for settings that contradict themselves.
 */
export function asThinking(asked: ThinkingAsked | null | undefined, over: Thinking): Thinking | null {
  if (asked === null || asked === undefined) return null;
  if (typeof asked === "boolean") return { ...over, enabled: asked ? "on" : "off" };
  return checkThinking(typeof asked === "string" ? { ...over, enabled: asked } : { ...THINKING, ...asked });
}

function checkThinking(thinking: Thinking): Thinking {
  for (const name of Object.keys(thinking)) {
    if (!(name in THINKING)) throw inputError(`thinking has no setting ${name}, expected ${Object.keys(THINKING).join(", ")}`);
  }
  const { enabled, budget, softFrom, softLift, message, answerReserve, stopLoops } = thinking;
  need(SWITCHES.includes(enabled), "thinking", enabled, "on, off or auto");
  need(budget === null || isCount(budget, 0), "the thinking budget", budget, "0 tokens or more, or null for no limit");
  need(softFrom === null || (softFrom >= 0 && softFrom < 1), "softFrom", softFrom, "a share from 0 to below 1, or null");
  need(softLift > 0, "softLift", softLift, "logits above 0");
  need(typeof message === "string", "message", message, "a text");
  need(isCount(answerReserve, 1), "answerReserve", answerReserve, "1 token or more");
  need(typeof stopLoops === "boolean", "stopLoops", stopLoops, "true or false");
  return thinking;
}

const isCount = (value: unknown, least: number): boolean => Number.isInteger(value) && (value as number) >= least;

function need(holds: boolean, name: string, value: unknown, expected: string): void {
  if (!holds) throw inputError(`${name} is ${JSON.stringify(value)}, expected ${expected}`);
}

export type Part = "thought" | "answer";

/** How a prompt leaves the reply to begin: free to open a thought, within one, or past one. */
export type Opening = "free" | "thinking" | "answering";

/** How thinking is switched for one reply, and who switched it. `hard` is what the template is told, null for nothing. */
export interface Decision {
  readonly enabled: Switch;
  readonly by: DecidedBy;
  readonly hard: boolean | null;
}

// A word of its own: what is quoted, a path or `</think>` in a pasted text switches nothing.
const SOFT = /(?<!\S)\/(no_)?think(?!\S)/g;

/** What the prompt's last think marker says; a closed thought counts if nothing but white space follows it. */
export function opening(prompt: readonly number[], ids: ThinkingIds | null, tokenizer: ModelTokenizer): Opening {
  if (!ids) return "answering";
  for (let at = prompt.length - 1; at >= 0; at--) {
    if (prompt[at] === ids.start) return "thinking";
    if (prompt[at] === ids.end) return tokenizer.decode(prompt.slice(at + 1)).trim() ? "free" : "answering";
  }
  return "free";
}

/** How the reply begins once the caller was heard. Throws an input error: off, and the prompt opened a thought all the same. */
export function switched(begin: Opening, hard: boolean | null): Opening {
  if (hard === false && begin === "thinking") {
    throw inputError(
      "thinking can't be switched off: this model's chat template has no switch and always opens a thought. Leave " +
        "thinking on, or use a model that can do both",
    );
  }
  return begin;
}

/** The decision for a reply to `messages`: the nearest hard switch, and within on or auto the latest soft one. */
export function decide(
  messages: readonly CheckedMessage[],
  asked: { readonly call: Thinking | null; readonly chat: Thinking | null; readonly model: Thinking | null },
  manifest: boolean | null,
): Decision {
  const by = (["call", "chat", "model"] as const).find((one) => asked[one]?.enabled) ?? "model";
  const enabled = asked[by]?.enabled ?? (manifest === null ? "auto" : manifest ? "on" : "off");
  const hard = enabled === "auto" ? null : enabled === "on";
  const soft = hard === false ? null : latestSoftSwitch(messages);
  return soft ? { enabled: soft, by: "message", hard } : { enabled, by: hard === null ? "template" : by, hard };
}

/** What the last `/think` or `/no_think` of the user's and system's messages says; null if there is none. */
function latestSoftSwitch(messages: readonly CheckedMessage[]): Switch | null {
  for (const message of messages.toReversed()) {
    const said = message.role === "user" || message.role === "system" ? message.content : "";
    const isResult = said.startsWith("<tool_response>") && said.endsWith("</tool_response>");
    const last = isResult ? undefined : [...said.matchAll(SOFT)].at(-1);
    if (last) return last[1] ? "off" : "on";
  }
  return null;
}

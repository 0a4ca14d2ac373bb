/** Figures and ends of replies in words. */

import type { Message } from "../conversation/conversation";
import type { Figures, OtherThought, Speed } from "../transport/transport";

export function count(tokens: number): string {
  return `${tokens.toLocaleString("en")} token${tokens === 1 ? "" : "s"}`;
}

export function rate({ perSecond }: Speed): string {
  return perSecond === null ? "" : ` at ${perSecond >= 100 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
}

export function costOf({ prompt, cached, thought, answer }: Figures): string {
  const parts = [answer.tokens > 0 ? `${count(answer.tokens)}${rate(answer)}` : "no answer"];
  if (thought.tokens > 0) parts.push(`thought ${thought.tokens.toLocaleString("en")}${rate(thought)}`);
  if (prompt > 0) parts.push(`prompt ${prompt.toLocaleString("en")}, ${cached.toLocaleString("en")} cached`);
  return parts.join(" · ");
}

const THOUGHT_ENDS: Record<string, string> = {
  soft: "closed near its budget",
  budget: "cut at its budget",
  reserve: "cut to leave room for the answer",
  loop: "cut because it repeated itself",
  user: "closed by you",
  length: "cut at the limit of tokens",
  context: "cut, the context is full",
  cancelled: "stopped",
};

/** Why a thought ended, where that needs a word. */
export function thoughtEnd(end: string): string {
  return THOUGHT_ENDS[end] ?? "";
}

/** Why a reply ended, where that needs a sentence. */
export function endOf({ state, answerEnd, problem }: Message): string {
  if (state === "failed") return problem ?? "It failed.";
  if (state === "interrupted") return "The page was left in the middle of this reply.";
  if (state === "stopped") return "Stopped.";
  if (answerEnd === "length") return "The reply reached its limit of tokens.";
  if (answerEnd === "context") return "The context is full: begin a new chat.";
  return "";
}

const SHORT = 60; // characters of an answer that fit a line

/** What a thought that was not chosen came to; its tokens are those of its answer too. */
export function otherInWords({ tokens, answer }: OtherThought): string {
  if (answer === null) return `Another thought · ${count(tokens)} · stopped before its answer`;
  const [line = "", ...more] = answer.trim().split("\n");
  const cut = more.length > 0 || line.length > SHORT;
  return `Another thought and its answer · ${count(tokens)} · ${[...line].slice(0, SHORT).join("")}${cut ? "…" : ""}`;
}

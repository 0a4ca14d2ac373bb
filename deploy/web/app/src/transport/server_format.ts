/** The JSON that a server sends (chat completions with llama-server's timings), read into what the page knows. */

import type { About, ParallelThoughts, ReplyEvent, ReplyRequest, Sampling, Speed, ThoughtsProgress } from "./transport";
import { Trouble } from "./trouble";

interface Timings {
  cache_n?: number;
  prompt_n?: number;
  thinking_n?: number;
  thinking_per_second?: number | null;
  predicted_n?: number;
  predicted_per_second?: number | null;
}

interface Choice {
  delta: { reasoning_content?: string; content?: string | null };
  finish_reason: string | null;
  thinking?: Thought | ThoughtsProgress;
}

/** What is said of the thought at a reply's end. */
interface Thought {
  end: string;
  answer_end: string;
  tokens: number;
  parallel?: ParallelThoughts;
}

export interface Chunk {
  error?: { message: string };
  choices?: Choice[];
  timings?: Timings;
}

/** A server's health, which needs no key. */
export interface Health {
  status: string;
  model: string;
  task: string;
  can_think: boolean;
  context: number | null;
  key_needed?: boolean;
  thinking?: { enabled: string | null; budget: number | null; width?: number; most_width?: number };
  sampling?: { thinking: Sampling; answering: Sampling };
  provider: { reason: string; chosen: HealthAttempt | null; attempts: HealthAttempt[] };
}

interface HealthAttempt {
  graph: string;
  provider: string;
  outcome: string;
  reason: string;
  kernels: string | null;
  device_name: string | null;
}

/** The events of a chunk, none to two. */
export function eventsOf(chunk: Chunk): ReplyEvent[] {
  if (chunk.error) throw new Trouble("refused", chunk.error.message);
  const choice = chunk.choices?.[0];
  if (!choice) return [];
  const timings = chunk.timings ?? {};
  const events: ReplyEvent[] = [];
  const { reasoning_content: thought, content } = choice.delta;
  if (thought) events.push({ kind: "thought", text: thought, speed: speedOf(timings, "thinking") });
  if (content) events.push({ kind: "answer", text: content, speed: speedOf(timings, "predicted") });
  const { thinking } = choice;
  if (thinking && "ended" in thinking) events.push({ kind: "thoughts", progress: thinking });
  else if (choice.finish_reason) events.push(endOf(thinking, choice.finish_reason, timings));
  return events;
}

function endOf(thinking: Thought | undefined, finish: string, timings: Timings): ReplyEvent {
  const nothing: Speed = { tokens: 0, perSecond: null };
  const thought = speedOf(timings, "thinking") ?? nothing;
  return {
    kind: "end",
    thinkingEnd: thinking?.end ?? "none",
    answerEnd: thinking?.answer_end ?? finish,
    figures: {
      prompt: (timings.prompt_n ?? 0) + (timings.cache_n ?? 0),
      cached: timings.cache_n ?? 0,
      thought: { ...thought, tokens: thinking?.tokens ?? thought.tokens },
      answer: speedOf(timings, "predicted") ?? nothing,
    },
    ...(thinking?.parallel && { parallel: thinking.parallel }),
  };
}

function speedOf(timings: Timings, part: "thinking" | "predicted"): Speed | null {
  const tokens = timings[`${part}_n`];
  return tokens === undefined ? null : { tokens, perSecond: timings[`${part}_per_second`] ?? null };
}

/** The body of a request. Without a choice about thinking nothing is said of it, so the server's settings hold. */
export function bodyOf(request: ReplyRequest): Record<string, unknown> {
  return {
    messages: request.messages,
    stream: true,
    timings_per_token: true,
    ...request.sampling,
    ...thinkingOf(request.thinking),
  };
}

function thinkingOf(choice: ReplyRequest["thinking"]): Record<string, unknown> {
  if (choice === null) return {};
  if (!choice.on) return { enable_thinking: false };
  const { budget, width } = choice;
  const several = width === undefined ? {} : { thinking_width: width, ...(width > 1 && { thinking_choose: "vote" }) };
  // An effort without a limit is how a request takes a server's own budget away.
  if (budget === null) return { reasoning_effort: "max", ...several };
  return { enable_thinking: true, thinking_token_budget: budget, ...several };
}

export function aboutOf(health: Health): About {
  const place = (one: HealthAttempt): string =>
    [one.provider.replace("ExecutionProvider", ""), one.device_name, one.kernels].filter(Boolean).join(", ");
  const { chosen } = health.provider;
  return {
    model: health.model,
    chats: health.task === "chat",
    canThink: health.can_think,
    context: health.context,
    thinking: { on: health.can_think && health.thinking?.enabled !== "off", budget: health.thinking?.budget ?? null },
    thoughts: health.thinking?.width ?? 1,
    mostThoughts: health.thinking?.most_width ?? 1,
    presets: health.sampling ?? null,
    runsOn: chosen ? `${place(chosen)} · ${chosen.graph}` : "",
    reason: health.provider.reason,
    attempts: health.provider.attempts.map((one) => ({ ...one, place: place(one) })),
    ending: health.status !== "ok",
    keyNeeded: health.key_needed ?? false,
  };
}

/** A thought: a line that says how long it is and how much of its budget is spent, and its text, which folds. */

import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Message } from "../conversation/conversation";
import type { Run } from "../conversation/run";
import type { OtherThought } from "../transport/transport";
import { Icon } from "./Icon";
import { count, otherInWords, rate, thoughtEnd } from "./figures";

export function ThoughtView({ message, run }: { message: Message; run: Run | null }) {
  const several = run?.thoughts.value ?? null;
  const text = run ? run.thought.value : (message.thought?.text ?? "");
  const live = run?.part.value === "thinking";
  const [chosen, setChosen] = useState<boolean | null>(null);
  const id = useId();
  if (text === "" && several === null) return null;
  const others = run ? [] : (message.thought?.parallel?.others ?? []);
  const open = chosen ?? live; // it folds by itself when the answer begins, unless somebody chose
  return (
    <section class={live ? "thought live" : "thought"} aria-label="Thought">
      <button type="button" class="fold" aria-expanded={open} aria-controls={id} onClick={() => setChosen(!open)}>
        <Icon name="think" />
        <span class="label">{label(message, run, live)}</span>
        <Icon name={open ? "down" : "right"} />
      </button>
      {live && run.budget !== null && <Bar tokens={several ? Math.max(...several.tokens) : (run.speed.value?.tokens ?? 0)} budget={run.budget} />}
      <Body id={id} text={text} open={open && text !== ""} live={live} />
      {open && others.map((other, at) => <Other key={at} other={other} />)}
    </section>
  );
}

function label(message: Message, run: Run | null, live: boolean): string {
  const several = run?.thoughts.value;
  if (several) {
    const [least, most] = [Math.min(...several.tokens), Math.max(...several.tokens)];
    return `${several.tokens.length} thoughts · ${least === most ? count(most) : `${least} to ${count(most)}`} · ${several.ended} ended`;
  }
  if (run && live) {
    const { tokens, perSecond } = run.speed.value ?? { tokens: 0, perSecond: null };
    const of = run.budget === null ? count(tokens) : `${tokens.toLocaleString("en")} of ${count(run.budget)}`;
    return `Thinking · ${of}${rate({ tokens, perSecond })}`;
  }
  const thought = run ? run.snapshot().thought : message.thought;
  if (!thought) return "Thought";
  return ["Thought", count(thought.tokens), thoughtEnd(thought.end), thought.parallel?.reason].filter(Boolean).join(" · ");
}

/** A thought that was not chosen, folded, and what it answered. */
function Other({ other }: { other: OtherThought }) {
  return (
    <details class="other">
      <summary>{otherInWords(other)}</summary>
      <div class="body" dir="auto">{[other.thought, other.answer?.trim()].filter(Boolean).join("\n\n")}</div>
    </details>
  );
}

function Bar({ tokens, budget }: { tokens: number; budget: number }) {
  const share = budget === 0 ? 1 : Math.min(1, tokens / budget);
  return (
    <div class="bar" role="progressbar" aria-label="Thinking budget" aria-valuemin={0} aria-valuemax={budget} aria-valuenow={Math.min(tokens, budget)}>
      <div style={{ width: `${100 * share}%` }} />
    </div>
  );
}

/** The text of a thought as it is, since it is written for nobody; while it grows, a window that follows its end. */
function Body({ id, text, open, live }: { id: string; text: string; open: boolean; live: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (live && place.current) place.current.scrollTop = place.current.scrollHeight;
  }, [text, live]);
  return (
    <div class="body" dir="auto" id={id} hidden={!open} ref={place} tabIndex={live ? 0 : undefined} role={live ? "group" : undefined} aria-label={live ? "Text of the thought" : undefined}>
      {open && text}
    </div>
  );
}

/** Whether the next replies think, and the most tokens of a thought. They begin as the server's settings say. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { ThinkingChoice } from "../transport/transport";
import { Icon } from "./Icon";
import { usePage } from "./context";

const STEPS = [0, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

export function ThinkingControls() {
  const { talk } = usePage();
  const { on, budget } = talk.thinking.value;
  const choose = (thinking: ThinkingChoice) =>
    talk.library.change(talk.library.open.value.id, (before) => ({ ...before, thinking }));
  return (
    <div class="thinking" role="group" aria-label="Thinking">
      <button type="button" class="chip" role="switch" aria-checked={on} onClick={() => choose({ on: !on, budget })}>
        <Icon name="think" /> Think
      </button>
      {on && <Budget budget={budget} choose={(tokens) => choose({ on, budget: tokens })} />}
    </div>
  );
}

/** A button that says the budget, and over it a slider that sets it. */
function Budget({ budget, choose }: { budget: number | null; choose: (budget: number | null) => void }) {
  const { talk } = usePage();
  const [open, setOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const leave = (event: Event) => {
      const outside = event instanceof KeyboardEvent ? event.key === "Escape" : !place.current?.contains(event.target as Node);
      if (!outside) return;
      event.stopPropagation();
      setOpen(false);
    };
    document.addEventListener("pointerdown", leave, true);
    document.addEventListener("keydown", leave, true);
    return () => {
      document.removeEventListener("pointerdown", leave, true);
      document.removeEventListener("keydown", leave, true);
    };
  }, [open]);
  const steps = stepsFor(budget, talk.connection.about.value?.thinking.budget ?? null);
  const at = budget === null ? steps.length : steps.indexOf(budget);
  return (
    <div class="budget" ref={place}>
      <button type="button" class="chip" aria-expanded={open} aria-label={`Thinking budget: ${words(budget)}`} onClick={() => setOpen(!open)}>
        {words(budget)} <Icon name="down" />
      </button>
      {open && (
        <div class="popover" role="dialog" aria-label="Thinking budget">
          <p class="value">{words(budget)}</p>
          <input type="range" min={0} max={steps.length} step={1} value={at} aria-label="Budget" aria-valuetext={words(budget)} ref={(input) => void input?.focus({ preventScroll: true })} onInput={(event) => choose(steps[Number(event.currentTarget.value)] ?? null)} />
          <p class="note">At its budget a thought is closed, and the answer begins.</p>
        </div>
      )}
    </div>
  );
}

/** The slider's steps, those in use among them. */
function stepsFor(...budgets: (number | null)[]): number[] {
  const own = budgets.filter((one): one is number => one !== null);
  return [...new Set([...STEPS, ...own])].sort((a, b) => a - b);
}

function words(budget: number | null): string {
  return budget === null ? "No limit" : `${budget.toLocaleString("en")} tokens`;
}

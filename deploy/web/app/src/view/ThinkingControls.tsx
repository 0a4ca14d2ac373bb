/** Whether the next replies think, the most tokens of a thought, and how many thoughts vote. They begin as the server's settings say. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { ThinkingChoice } from "../transport/transport";
import { Icon } from "./Icon";
import { usePage } from "./context";

const WIDTHS = [1, 2, 4, 8];
const STEPS = [0, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

export function ThinkingControls() {
  const { talk } = usePage();
  const { on, budget, width } = talk.thinking.value;
  const { thoughts = 1, mostThoughts: most = 1 } = talk.connection.about.value ?? {};
  const choose = (thinking: ThinkingChoice) =>
    talk.library.change(talk.library.open.value.id, (before) => ({ ...before, thinking }));
  return (
    <div class="thinking" role="group" aria-label="Thinking">
      <button type="button" class="chip" role="switch" aria-checked={on} onClick={() => choose({ ...talk.thinking.value, on: !on })}>
        <Icon name="think" /> Think
      </button>
      {on && <Budget budget={budget} choose={(tokens) => choose({ ...talk.thinking.value, budget: tokens })} />}
      {on && most > 1 && <Width width={width ?? thoughts} most={most} choose={(thoughts) => choose({ on, budget, width: thoughts })} />}
    </div>
  );
}

/** How many thoughts are written at the same time; the answer of most of them is given. */
function Width({ width, most, choose }: { width: number; most: number; choose: (width: number) => void }) {
  const widths = [...new Set([...WIDTHS.filter((one) => one <= most), width])].sort((a, b) => a - b);
  return (
    <span class="width">
      <select class="chip" aria-label="Thoughts at a time" title="Several thoughts are written at the same time, and the answer of most of them is given." value={width} onChange={(event) => choose(Number(event.currentTarget.value))}>
        {widths.map((one) => <option key={one} value={one}>{one === 1 ? "1 thought" : `${one} thoughts`}</option>)}
      </select>
      <Icon name="down" />
    </span>
  );
}

/** A button that says the budget, and over it a slider that sets it. */
function Budget({ budget, choose }: { budget: number | null; choose: (budget: number | null) => void }) {
  const { talk } = usePage();
  const [open, setOpen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    place.current?.querySelector("input")?.focus({ preventScroll: true });
    const leave = (event: Event) => {
      const outside = event instanceof KeyboardEvent ? event.key === "Escape" : !place.current?.contains(event.target as Node);
      if (!outside) return;
      event.stopPropagation();
      if (event instanceof KeyboardEvent) place.current?.querySelector("button")?.focus();
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
          <input type="range" min={0} max={steps.length} step={1} value={at} aria-label="Budget" aria-valuetext={words(budget)} onInput={(event) => choose(steps[Number(event.currentTarget.value)] ?? null)} />
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

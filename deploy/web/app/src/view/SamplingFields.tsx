/** How tokens are drawn in this conversation. An empty field is the model's own preset, which it shows. */

import type { SamplingName } from "../transport/transport";
import { usePage } from "./context";

export interface Field {
  name: SamplingName;
  label: string;
  min: number;
  max: number;
  /** What an arrow adds. 1: whole numbers only. */
  step: number;
}

export const FIELDS: Field[] = [
  { name: "temperature", label: "Temperature", min: 0, max: 2, step: 0.05 },
  { name: "top_p", label: "Top p", min: 0.01, max: 1, step: 0.01 },
  { name: "top_k", label: "Top k", min: 0, max: 1000, step: 1 },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: 0.01 },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: 0.1 },
  { name: "repetition_penalty", label: "Repetition penalty", min: 0.01, max: 10, step: 0.01 },
  { name: "max_tokens", label: "Most tokens", min: 1, max: 1_000_000, step: 1 },
  { name: "seed", label: "Seed", min: 0, max: 2_147_483_647, step: 1 },
];

export function SamplingFields() {
  const { talk } = usePage();
  const { sampling } = talk.library.open.value;
  const presets = talk.connection.about.value?.presets;
  const preset = talk.thinking.value.on ? presets?.thinking : presets?.answering;
  return (
    <details class="sampling" open={Object.keys(sampling).length > 0}>
      <summary>Sampling</summary>
      <div class="fields">
        {FIELDS.map((field) => (
          <label key={field.name}>
            {field.label}
            <input type="number" inputmode="decimal" min={field.min} max={field.max} step={field.step} value={sampling[field.name] ?? ""} placeholder={String(preset?.[field.name] ?? "none")} onChange={(event) => set(field, event.currentTarget)} />
          </label>
        ))}
      </div>
    </details>
  );

  /** Take a number into the conversation; what is wrong is shown as the browser does and not taken. */
  function set(field: Field, input: HTMLInputElement): void {
    const empty = input.value === "" && !input.validity.badInput;
    input.setCustomValidity(empty ? "" : problemOf(field, input.valueAsNumber));
    if (input.validity.customError) return void input.reportValidity();
    const { [field.name]: _, ...others } = sampling;
    const next = empty ? others : { ...others, [field.name]: input.valueAsNumber };
    talk.library.change(talk.library.open.value.id, (before) => ({ ...before, sampling: next }));
  }
}

/** What is wrong with a number, NaN for what is none; empty if nothing is. */
export function problemOf({ min, max, step }: Field, value: number): string {
  const right = value >= min && value <= max && (step !== 1 || Number.isInteger(value));
  return right ? "" : `Expected ${step === 1 ? "a whole number from " : ""}${min} to ${max}.`;
}

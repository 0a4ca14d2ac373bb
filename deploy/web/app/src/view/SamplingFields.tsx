/** How tokens are drawn in this conversation. An empty field is the model's own preset, which it shows. */

import type { SamplingName } from "../transport/transport";
import { usePage } from "./context";

interface Field {
  name: SamplingName;
  label: string;
  min: number;
  max: number;
  step: number;
}

const FIELDS: Field[] = [
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

  /** Take a number into the conversation; one out of range is shown as the browser does and not taken. */
  function set(field: Field, input: HTMLInputElement): void {
    if (input.value !== "" && !(input.valueAsNumber >= field.min && input.valueAsNumber <= field.max)) {
      input.setCustomValidity(`Expected ${field.min} to ${field.max}.`);
      input.reportValidity();
      return;
    }
    input.setCustomValidity("");
    const { [field.name]: _, ...others } = sampling;
    const next = input.value === "" ? others : { ...others, [field.name]: input.valueAsNumber };
    talk.library.change(talk.library.open.value.id, (before) => ({ ...before, sampling: next }));
  }
}

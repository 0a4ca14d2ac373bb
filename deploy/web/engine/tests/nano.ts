/** The reference checkpoint's tokenizer and template, and a model whose logits are written down. */

/// <reference types="vite/client" />

import configText from "../../../../artifacts/checkpoints/nano-qwen3/tokenizer_config.json?raw";
import tokenizerText from "../../../../artifacts/checkpoints/nano-qwen3/tokenizer.json?raw";
import manifestText from "../../../../tests/contract/manifest.json?raw";
import type { Manifest } from "../src/artifact/manifest.js";
import type { Lane } from "../src/engine/lane.js";
import { LoadedModel } from "../src/loadedModel.js";
import type { ModelReport } from "../src/model.js";
import { ChatTemplate } from "../src/prompt/template.js";
import { ModelTokenizer } from "../src/prompt/tokenizer.js";
import { asThinking, THINKING, type ThinkingAsked } from "../src/thinking/thinking.js";

const FILES = import.meta.glob<string>("../vectors/*.json", { query: "?raw", import: "default", eager: true });

/** The cases of a kind that Python wrote down. */
export const vectors = <T>(name: string): T[] => JSON.parse(FILES[`../vectors/${name}.json`]!) as T[];

export const tokenizer = new ModelTokenizer(tokenizerText);
export const template = new ChatTemplate((JSON.parse(configText) as { chat_template: string }).chat_template, {
  eos_token: "<|im_end|>",
  pad_token: "<|endoftext|>",
});

const id = (token: string): number => tokenizer.added.get(token)!;

export const manifest: Manifest = {
  ...(JSON.parse(manifestText) as Manifest),
  thinking: { start: id("<think>"), end: id("</think>") },
  stop_ids: [id("<|im_end|>"), id("<|endoftext|>")],
};

/** An id that is the likeliest, or some ids' logits. */
export type Row = number | Readonly<Record<string, number>>;

/** Gives the script's rows in turn, one for each step that a draw follows; then it stops. */
export class ScriptedLane implements Lane {
  readonly vocabSize = 512;
  length = 0;
  readonly steps: number[] = [];

  constructor(
    private readonly script: Row[],
    readonly contextLength = 4096,
    readonly prefillChunk = 4096,
  ) {}

  async step(ids: readonly number[]): Promise<Float32Array> {
    this.length += ids.length;
    this.steps.push(ids.length);
    const row = this.script.shift() ?? manifest.stop_ids[0]!;
    const logits = new Float32Array(this.vocabSize);
    for (const [token, logit] of Object.entries(typeof row === "number" ? { [row]: 9 } : row)) logits[Number(token)] = logit;
    return logits;
  }

  trim(length: number): void {
    this.length = Math.min(this.length, length);
  }

  expect(): void {}

  async close(): Promise<void> {}
}

const REPORT: ModelReport = {
  provider: "script", graph: "", kv: "float32", threads: null, contextLength: 4096, graphs: [], goldens: null,
  seconds: { files: 0, session: 0, goldens: 0 },
};

/** A model over a lane. */
export function modelOver(lane: Lane, changed: Partial<Manifest> = {}, thinking: ThinkingAsked | null = null): LoadedModel {
  const settings = asThinking(thinking, THINKING) ?? THINKING;
  return new LoadedModel({ ...manifest, ...changed }, tokenizer, template, settings, lane, REPORT);
}

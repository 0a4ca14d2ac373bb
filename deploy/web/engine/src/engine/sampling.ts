/**
 * Choosing the next token: pure functions on one row of logits, in the order and by the definitions of transformers'
 * logits processors: repetition penalty, presence penalty, temperature, top-k, top-p, min-p.
 */

import type { SamplingPreset } from "../artifact/manifest.js";
import { artifactError, inputError } from "../errors.js";

/** Gives numbers from 0 to below 1. */
export type Random = () => number;
/** Changes a row of logits in place. */
export type Shaper = (logits: Float32Array) => void;

const RANGES: Readonly<Record<keyof SamplingPreset, [(value: number) => boolean, string]>> = {
  temperature: [(value) => value >= 0, "0 (greedy) or more"],
  top_k: [(value) => Number.isInteger(value) && value >= 0, "a whole number, 0 for no limit"],
  top_p: [(value) => value > 0 && value <= 1, "above 0 and up to 1"],
  min_p: [(value) => value >= 0 && value <= 1, "from 0 to 1"],
  presence_penalty: [() => true, "a number"],
  repetition_penalty: [(value) => value > 0, "above 0 (1 is none)"],
};

/** A preset with some values replaced. Throws an input error for an unknown name or a value out of range. */
export function sampling(preset: SamplingPreset, asked: Partial<SamplingPreset> | null | undefined): SamplingPreset {
  const settings = { ...preset, ...asked };
  for (const [name, value] of Object.entries(settings)) {
    const range = RANGES[name as keyof SamplingPreset];
    if (!range) throw inputError(`unknown sampling setting ${name}, expected one of: ${Object.keys(RANGES).join(", ")}`);
    const [holds, expected] = range;
    if (!Number.isFinite(value) || !holds(value)) throw inputError(`${name} is ${String(value)}, expected ${expected}`);
  }
  return settings;
}

/** Draws tokens by settings, and remembers what was seen for the penalties. One sampler for one reply. */
export class Sampler {
  private prompt: ReadonlySet<number> = new Set();
  private generated = new Set<number>();
  private row = new Float32Array(0);

  /** `shapers` change the logits in turn, after the penalties and before temperature and truncation. */
  constructor(
    readonly settings: SamplingPreset,
    private readonly random: Random,
    private readonly shapers: readonly Shaper[] = [],
  ) {}

  start(prompt: readonly number[]): void {
    this.prompt = new Set(prompt);
    this.generated = new Set();
  }

  /** Take note of a token of the reply, drawn here or forced. */
  accept(token: number): void {
    this.generated.add(token);
  }

  /** The next id from logits (vocabulary,), which are left as they are. */
  draw(logits: Float32Array): number {
    const { repetition_penalty: repetition, presence_penalty: presence } = this.settings;
    if (this.row.length !== logits.length) this.row = new Float32Array(logits.length);
    const row = this.row;
    row.set(logits);
    if (repetition !== 1) penalizeRepetition(row, new Set([...this.prompt, ...this.generated]), repetition);
    if (presence !== 0) for (const id of this.generated) row[id]! -= Math.fround(presence);
    for (const shape of this.shapers) shape(row);
    return draw(row, this.settings, this.random);
  }
}

/** Divide the logits of `ids` by the penalty if positive, else multiply them, in place (https://arxiv.org/abs/1909.05858). */
export function penalizeRepetition(logits: Float32Array, ids: Iterable<number>, penalty: number): void {
  const by = Math.fround(penalty);
  for (const id of ids) {
    const seen = logits[id]!;
    logits[id] = seen < 0 ? seen * by : seen / by;
  }
}

/** One id from logits (vocabulary,) after temperature and truncation. Throws an artifact error for logits that are no numbers. */
export function draw(logits: Float32Array, settings: SamplingPreset, random: Random): number {
  if (settings.temperature === 0) {
    const best = argmax(logits);
    checkFinite(logits[best]!);
    return best;
  }
  const { ids, probabilities } = candidates(logits, settings);
  const place = random() * probabilities.reduce((sum, one) => sum + one, 0);
  let sum = 0;
  const at = probabilities.findIndex((one) => (sum += one) > place);
  return ids[at < 0 ? ids.length - 1 : at]!;
}

/** The place of the largest logit, the first of equals; that of a NaN if there is one. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let at = 0; at < logits.length; at++) {
    const one = logits[at]!;
    if (Number.isNaN(one)) return at;
    if (one > logits[best]!) best = at;
  }
  return best;
}

/** Ids that may be drawn, likeliest first, and their probabilities, whose sum is 1; needs a temperature above 0. */
export function candidates(logits: Float32Array, settings: SamplingPreset): { ids: number[]; probabilities: number[] } {
  checkFinite(logits[argmax(logits)]!);
  const ids = topK(logits, settings.top_k).sort((a, b) => logits[b]! - logits[a]!);
  const warmth = Math.fround(settings.temperature);
  const probabilities = softmax(ids.map((id) => Math.fround(logits[id]! / warmth)));
  const kept = Math.min(topP(probabilities, settings.top_p), minP(probabilities, settings.min_p));
  const first = probabilities.slice(0, kept);
  const sum = first.reduce((total, one) => total + one, 0);
  return { ids: ids.slice(0, kept), probabilities: first.map((one) => one / sum) };
}

/** Ids whose logits are at least the k-th largest, in the order of ids; those at minus infinity never count. */
function topK(logits: Float32Array, k: number): number[] {
  const floor = k > 0 ? kthLargest(logits, k) : -Infinity;
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id]! > -Infinity && logits[id]! >= floor) ids.push(id);
  return ids;
}

const FEW = 500; // beyond, sorting all of a vocabulary is faster

/** The k-th largest of the logits: of the k largest so far, kept in order, the least gives way to a larger one. */
function kthLargest(logits: Float32Array, k: number): number {
  if (k > FEW) return logits.slice().sort()[Math.max(0, logits.length - k)]!;
  const largest = logits.slice(0, k).sort();
  for (let id = largest.length; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit <= largest[0]!) continue;
    let at = 1;
    for (; at < largest.length && largest[at]! < logit; at++) largest[at - 1] = largest[at]!;
    largest[at - 1] = logit;
  }
  return largest[0]!;
}

/** How many of the falling probabilities it takes to reach p of their sum: the tail whose share is at most 1 - p is dropped. */
function topP(probabilities: readonly number[], p: number): number {
  if (p === 1) return probabilities.length;
  const total = probabilities.reduce((sum, one) => sum + one, 0);
  let tail = 0;
  let dropped = 0;
  for (let at = probabilities.length - 1; at >= 0; at--) {
    tail += probabilities[at]!;
    if (tail / total > 1 - p) break;
    dropped++;
  }
  return Math.max(1, probabilities.length - dropped);
}

/** How many of the falling probabilities are at least p times the first. */
function minP(probabilities: readonly number[], p: number): number {
  return Math.max(1, probabilities.filter((one) => one >= p * probabilities[0]!).length);
}

/** Probabilities of falling logits. */
function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((one) => Math.exp(Math.fround(one - logits[0]!)));
  const sum = powers.reduce((total, one) => total + one, 0);
  return powers.map((one) => one / sum);
}

function checkFinite(best: number): void {
  if (!Number.isFinite(best)) {
    throw artifactError(
      `the model's logits hold ${best}, expected finite numbers: its weights are damaged or the provider computes ` +
        "wrongly; run another provider or graph, or export the artifact again",
    );
  }
}

/**
 * Numbers by a seed: splitmix32's steps (Steele, Lea, Flood 2014, with 32 bits); without one, the platform's. They are
 * not those of the Python runtime, so a seed repeats a reply in this engine alone.
 */
export function randomOf(seed: number | null | undefined): Random {
  if (seed === null || seed === undefined) return Math.random;
  if (!Number.isInteger(seed) || seed < 0) throw inputError(`seed is ${String(seed)}, expected 0 or more`);
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

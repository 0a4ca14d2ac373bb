/**
 * Whether a graph, as it runs on this device, says what the checkpoint says: the check before it is trusted, and the file of
 * it, `goldens.safetensors`, which the Python runtime's `artifact/goldens.py` describes. What graphs themselves gave is not
 * read here.
 */

import { artifactError, wordsOf } from "../errors.js";
import { argmax } from "../engine/sampling.js";
import type { Lane } from "../engine/lane.js";
import { macrotask } from "../engine/macrotask.js";
import type { GoldenScore, GraphFigure } from "./manifest.js";

const CHUNK = 16; // tokens a step, so that a short prompt too is prefilled over a past
const DECODED = 4; // tokens at a prompt's end that go one at a time
const QUICK_TOKENS = 64;
const QUICK_PROMPTS = 4;
// How far a score may be below the recorded one; see the Python runtime's `golden_check.py`.
const SLACK = 0.02;
const SHARE = 0.5;

const FORMAT = "thinkport-goldens-2";
const SAMPLE = "sample_ids";

/** One prompt, and what the checkpoint says after the positions `rows`: its likeliest tokens, and some logits. */
export interface Golden {
  readonly name: string;
  readonly ids: readonly number[];
  readonly rows: readonly number[];
  /** Of each row. */
  readonly topIds: readonly (readonly number[])[];
  readonly topLogprobs: readonly Float32Array[];
  readonly sampleLogits: readonly Float32Array[];
  readonly sampleIds: readonly number[];
}

interface Entry {
  readonly dtype: "I64" | "F32";
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The goldens of an artifact, in the order of their names. Throws an artifact error: damaged, or of another format. */
export function parseGoldens(bytes: Uint8Array<ArrayBuffer>, place: string): Golden[] {
  try {
    const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))) as Record<string, Entry>;
    const format = (header.__metadata__ as { format?: string } | undefined)?.format;
    if (format !== FORMAT) throw new Error(`its format is ${format}, expected ${FORMAT}`);
    return goldensOf((name) => tensor(bytes, 8 + size, header[name]!), header);
  } catch (error) {
    throw artifactError(`${place} can't be read as goldens (${wordsOf(error)}): export the artifact again`);
  }
}

function goldensOf(read: (name: string) => Rows, header: Readonly<Record<string, Entry>>): Golden[] {
  const names = Object.keys(header).filter((name) => name.endsWith(".ids")).map((name) => name.slice(0, -4));
  const sampleIds = read(SAMPLE)[0] as number[];
  return names.sort().map((name) => ({
    name,
    ids: read(`${name}.ids`)[0] as number[],
    rows: read(`${name}.rows`)[0] as number[],
    topIds: read(`${name}.top_ids`) as number[][],
    topLogprobs: read(`${name}.top_logprobs`) as Float32Array[],
    sampleLogits: read(`${name}.sample_logits`) as Float32Array[],
    sampleIds,
  }));
}

type Rows = (number[] | Float32Array)[];

/** The rows of a tensor; one of one dimension is a row. */
function tensor(bytes: Uint8Array<ArrayBuffer>, base: number, { dtype, shape, data_offsets: [start, end] }: Entry): Rows {
  const own = bytes.slice(base + start, base + end).buffer; // aligned
  const flat = dtype === "I64" ? Array.from(new BigInt64Array(own), Number) : new Float32Array(own);
  const [width = 0, count = 1] = shape.toReversed();
  return Array.from({ length: count }, (_, at) => flat.slice(at * width, (at + 1) * width));
}

/** The first few short goldens that a graph answered at export: what is affordable before a first reply. */
export function quick(goldens: readonly Golden[], figure: GraphFigure | undefined): Golden[] {
  const answered = goldens.filter((golden) => !figure?.prompts || figure.prompts.includes(golden.name));
  return answered.filter((golden) => golden.ids.length <= QUICK_TOKENS).slice(0, QUICK_PROMPTS);
}

/** How a graph's logits agree with the goldens, over every row of them. Throws what a step throws. */
export async function score(
  lane: Lane,
  goldens: readonly Golden[],
  onPrompt: (done: number) => void = () => undefined,
): Promise<GoldenScore> {
  const rows: [number, number, number][] = [];
  for (const [at, golden] of goldens.entries()) {
    onPrompt(at);
    lane.trim(0);
    for (const [start, end] of steps(golden.ids.length, Math.min(CHUNK, lane.prefillChunk))) {
      await macrotask();
      const found = await lane.step(golden.ids.slice(start, end), end - start);
      golden.rows.forEach((place, row) => {
        if (place < start || place >= end) return;
        const first = (place - start) * lane.vocabSize;
        rows.push(compared(golden, row, found.subarray(first, first + lane.vocabSize)));
      });
    }
  }
  lane.trim(0);
  const [correlation, kl, top1] = [0, 1, 2].map((part) => rows.reduce((sum, row) => sum + row[part]!, 0) / rows.length);
  const finite = [correlation, kl].every(Number.isFinite);
  return finite ? { rows: rows.length, correlation: correlation!, kl: kl!, top1: top1! } : { rows: rows.length, correlation: -1, kl: 1e9, top1: 0 };
}

/** What is wrong with a score, in words; null if nothing is. `recorded` is the same graph's at export, on the CPU. */
export function faultOf(found: GoldenScore, recorded: GoldenScore | undefined): string | null {
  const least = recorded ? recorded.correlation - SLACK - SHARE * (1 - recorded.correlation) : 0.5;
  const most = recorded ? recorded.kl * (1 + SHARE) + SLACK : Infinity;
  if (found.correlation < least) {
    return (
      `its logits correlate ${found.correlation.toFixed(3)} with the checkpoint's over ${found.rows} positions, ` +
      `expected at least ${least.toFixed(3)}`
    );
  }
  if (found.kl <= most) return null;
  return (
    `its likeliest tokens diverge ${found.kl.toFixed(3)} nats from the checkpoint's over ${found.rows} positions, ` +
    `expected at most ${most.toFixed(3)}`
  );
}

/** [start, end] of every step over a prompt: chunks, then single tokens. */
function steps(tokens: number, chunk: number): [number, number][] {
  const prefilled = Math.max(1, tokens - DECODED);
  const cuts: number[] = [];
  for (let at = 0; at < prefilled; at += chunk) cuts.push(at);
  for (let at = prefilled; at < tokens; at++) cuts.push(at);
  return cuts.map((start, at) => [start, cuts[at + 1] ?? tokens]);
}

/** [correlation, divergence, whether the likeliest token is the same] at one row. */
function compared(golden: Golden, row: number, logits: Float32Array): [number, number, number] {
  const sampled = golden.sampleIds.map((id) => logits[id]!);
  const top = golden.topIds[row]!;
  return [
    correlation(golden.sampleLogits[row]!, sampled),
    coarseKl(golden.topLogprobs[row]!, logits, top),
    Number(top[0] === argmax(logits)),
  ];
}

function correlation(expected: ArrayLike<number>, found: ArrayLike<number>): number {
  const ours = centred(expected);
  const theirs = centred(found);
  if (!ours || !theirs) return Number(ours === theirs);
  return ours.reduce((sum, one, at) => sum + one * theirs[at]!, 0);
}

/** A vector without its mean, of length 1; null if all of it is mean. */
function centred(row: ArrayLike<number>): number[] | null {
  const values = Array.from(row);
  const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
  const without = values.map((one) => one - mean);
  const length = Math.hypot(...without);
  const largest = values.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  return length <= 1e-6 * largest ? null : without.map((one) => one / length);
}

/** KL divergence, in nats, over the likeliest tokens and one class for all others: at most that over all tokens. */
function coarseKl(expected: Float32Array, logits: Float32Array, top: readonly number[]): number {
  const most = logits[argmax(logits)]!;
  let sum = 0;
  for (const one of logits) sum += Math.exp(one - most);
  const found = top.map((id) => logits[id]! - most - Math.log(sum));
  const p = Array.from(expected, Math.exp);
  const restP = Math.max(0, 1 - p.reduce((total, one) => total + one, 0));
  const restQ = Math.max(1e-12, 1 - found.reduce((total, one) => total + Math.exp(one), 0));
  const rest = restP > 1e-12 ? restP * Math.log(restP / restQ) : 0;
  return Math.max(0, p.reduce((total, one, at) => total + one * (expected[at]! - found[at]!), rest));
}

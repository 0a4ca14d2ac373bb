/**
 * Reads `goldens.safetensors`: what the checkpoint itself would say, so that any device can check an artifact. The
 * Python runtime's `artifact/goldens.py` describes the file; what graphs themselves gave is not read here.
 */

import { artifactError, wordsOf } from "../errors.js";

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
  const sampleIds = read(SAMPLE).flat as number[];
  return names.sort().map((name) => ({
    name,
    ids: read(`${name}.ids`).flat as number[],
    rows: read(`${name}.rows`).flat as number[],
    topIds: read(`${name}.top_ids`).rows as number[][],
    topLogprobs: read(`${name}.top_logprobs`).rows as Float32Array[],
    sampleLogits: read(`${name}.sample_logits`).rows as Float32Array[],
    sampleIds,
  }));
}

interface Rows {
  readonly flat: number[] | Float32Array;
  readonly rows: (number[] | Float32Array)[];
}

function tensor(bytes: Uint8Array<ArrayBuffer>, base: number, entry: Entry): Rows {
  const [start, end] = entry.data_offsets;
  const own = bytes.slice(base + start, base + end).buffer; // aligned
  const flat = entry.dtype === "I64" ? Array.from(new BigInt64Array(own), Number) : new Float32Array(own);
  const [count = 0, width = 0] = entry.shape;
  const rows = entry.shape.length === 2 ? Array.from({ length: count }, (_, at) => flat.slice(at * width, (at + 1) * width)) : [];
  return { flat, rows };
}

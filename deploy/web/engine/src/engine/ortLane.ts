/** One sequence over a graph that is loaded in ONNX Runtime. Knows the graph's inputs and outputs. */

import type { Graph, ModelShape } from "../artifact/manifest.js";
import { failure, unavailableError, wordsOf } from "../errors.js";
import type { KvCache, Tensors } from "./kvCache.js";
import type { Lane } from "./lane.js";
import type { Ort, OrtSession, OrtTensor } from "./ort.js";

/** The optional input that says how many rows of logits a step gives; see `OnnxFile.withRequired`. */
export const KEEP = "logits_to_keep";
/** What to do about a graph that fails. */
export const ANOTHER = "open another graph, or export the artifact again";
const LOST = /device.{0,20}(lost|hung|removed|destroyed)/i;

export class OrtLane implements Lane {
  readonly vocabSize: number;
  readonly prefillChunk: number;
  private room = 0;
  private lost: string | null = null;

  /** `contextLength` is the most tokens that the sequence may have. */
  constructor(
    private readonly ort: Ort,
    private readonly session: OrtSession,
    private readonly graph: Graph,
    model: ModelShape,
    private readonly cache: KvCache,
    readonly contextLength: number,
  ) {
    this.vocabSize = model.vocab_size;
    this.prefillChunk = graph.prefill_chunk;
  }

  get length(): number {
    return this.cache.length;
  }

  trim(length: number): void {
    this.cache.trim(length);
  }

  expect(total: number): void {
    this.room = Math.min(total, this.contextLength);
  }

  async step(ids: readonly number[], keep = 1): Promise<Float32Array> {
    if (this.lost) throw unavailableError(this.lost);
    const past = this.cache.length;
    const total = past + ids.length;
    try {
      await this.cache.prepare(Math.max(total, this.room));
      const given = await this.session.run({ ...this.inputs(ids, past, keep), ...this.cache.pasts() }, this.outputs());
      this.cache.advance(total, given as Tensors);
      const logits = await lastRows(given.logits as OrtTensor, keep);
      this.cache.check?.();
      return logits;
    } catch (error) {
      throw this.failed(error, ids.length, past);
    }
  }

  async close(): Promise<void> {
    this.cache.close();
    await this.session.release();
  }

  private inputs(ids: readonly number[], past: number, keep: number): Record<string, OrtTensor> {
    const { Tensor } = this.ort;
    const int64 = (values: readonly number[]): OrtTensor =>
      new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const total = past + ids.length;
    const inputs: Record<string, OrtTensor> = {
      input_ids: int64(ids),
      attention_mask: new Tensor("int64", new BigInt64Array(total).fill(1n), [1, total]),
    };
    if (this.session.inputNames.includes(KEEP)) inputs[KEEP] = new Tensor("int64", BigInt64Array.of(BigInt(keep)), [1]);
    if (this.session.inputNames.includes("position_ids")) inputs.position_ids = int64(ids.map((_, at) => past + at));
    return inputs;
  }

  private outputs(): Record<string, OrtTensor | null> {
    const presents = this.cache.presents();
    return presents ? { logits: null, ...presents } : Object.fromEntries(this.session.outputNames.map((name) => [name, null]));
  }

  private failed(error: unknown, columns: number, past: number): Error {
    const where = `${this.graph.file} in a step of ${columns} tokens over ${past}`;
    const words = wordsOf(error);
    if (LOST.test(words)) {
      this.lost = `the GPU was lost by ${where}: ${words}: open the model again, or on the CPU`;
      return unavailableError(this.lost, error);
    }
    return failure(`${where} failed`, error, ANOTHER);
  }
}

/** The last `keep` rows of logits, float32 (keep × vocabulary,). */
async function lastRows(logits: OrtTensor, keep: number): Promise<Float32Array> {
  const data = (await logits.getData()) as Float32Array;
  const rows = keep * logits.dims.at(-1)!;
  logits.dispose();
  if (data.length < rows) throw new Error(`it gave ${data.length} logits, expected ${rows}`);
  return data.subarray(data.length - rows);
}

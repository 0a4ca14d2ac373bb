/**
 * Keys and values of every layer of one sequence, in the memory that a graph takes them from.
 *
 * Three kinds, by what the runtime does with a tensor that it is given: onnxruntime-node computes in the caller's own
 * memory, onnxruntime-web copies the CPU's tensors in and out at each step, and on WebGPU it takes GPU buffers.
 */

import { KV_BYTES, type KvLayout, type KvType, kvWidth, type ModelShape } from "../artifact/manifest.js";
import type { Ort, OrtTensor } from "./ort.js";

export type Tensors = Readonly<Record<string, OrtTensor>>;

export interface KvCache {
  /** Tokens that are held. */
  readonly length: number;
  /** Have room for `total` tokens. Throws where the device has none, and keeps what it holds. */
  prepare(total: number): void | Promise<void>;
  /** The past, by input names, for a step. */
  pasts(): Tensors;
  /** Where the step writes, by output names; null where the runtime makes the presents. */
  presents(): Tensors | null;
  /** Take what a step gave, after which the sequence has `total` tokens. */
  advance(total: number, given: Tensors): void;
  /** Throws where the device told of a failure that no call did; absent where none does. */
  check?(): void;
  trim(length: number): void;
  close(): void;
}

/** The names and the shape of a graph's KV cache. */
export class KvShape {
  readonly pasts: readonly string[];
  readonly presents: readonly string[];
  readonly dtype: KvType;
  readonly heads: number;
  readonly width: number;

  constructor(model: ModelShape, kv: KvLayout) {
    const parts = Array.from({ length: model.layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
    this.pasts = parts.map((part) => `past_key_values.${part}`);
    this.presents = parts.map((part) => `present.${part}`);
    this.dtype = kv.dtype;
    this.heads = model.kv_heads;
    this.width = kvWidth(model, kv);
  }

  /** (1, heads, tokens, width) */
  dims(tokens: number): number[] {
    return [1, this.heads, tokens, this.width];
  }

  /** Bytes of one key or value of so many tokens. */
  bytes(tokens: number): number {
    return this.heads * tokens * this.width * KV_BYTES[this.dtype];
  }
}

const STEP = 256; // tokens of capacity at first; it doubles

/** The least capacity of the list 256, 512, 1024 … that holds `total` tokens, at most `limit`. */
export function capacityFor(total: number, limit: number): number {
  let capacity = STEP;
  while (capacity < total) capacity *= 2;
  return Math.min(capacity, limit);
}

type Numbers = Float32Array | Int8Array | Uint16Array;

function zeros(dtype: KvType, items: number): Numbers {
  return dtype === "int8" ? new Int8Array(items) : dtype === "float16" ? new Uint16Array(items) : new Float32Array(items);
}

function tensorOf(ort: Ort, shape: KvShape, data: Numbers, tokens: number): OrtTensor {
  return new ort.Tensor(shape.dtype as "float32", data as Float32Array, shape.dims(tokens));
}

/** The first `kept` tokens of each head, with room for `tokens`. */
function resized(shape: KvShape, data: Numbers, from: number, kept: number, tokens: number): Numbers {
  const made = zeros(shape.dtype, shape.heads * tokens * shape.width);
  for (let head = 0; head < shape.heads; head++) {
    const start = head * from * shape.width;
    made.set(data.subarray(start, start + kept * shape.width) as never, head * tokens * shape.width);
  }
  return made;
}

const named = (names: readonly string[], tensors: readonly OrtTensor[]): Tensors =>
  Object.fromEntries(names.map((name, at) => [name, tensors[at]!]));

/** Past and present are one memory with room for later tokens; it never exceeds `context` tokens. */
export abstract class RoomyKv implements KvCache {
  length = 0;
  protected capacity = 0;
  protected tensors: OrtTensor[] = [];

  constructor(
    protected readonly ort: Ort,
    protected readonly shape: KvShape,
    private readonly context: number,
  ) {}

  /** The tensors of a larger capacity, in which the tokens held stand. Throws where there is no room. */
  protected abstract grown(capacity: number): OrtTensor[] | Promise<OrtTensor[]>;

  async prepare(total: number): Promise<void> {
    if (total <= this.capacity) return;
    const capacity = capacityFor(total, this.context);
    this.tensors = await this.grown(capacity);
    this.capacity = capacity;
  }

  pasts(): Tensors {
    return named(this.shape.pasts, this.tensors);
  }

  presents(): Tensors {
    return named(this.shape.presents, this.tensors);
  }

  advance(total: number): void {
    this.length = total;
  }

  trim(length: number): void {
    this.length = Math.min(this.length, length);
  }

  close(): void {
    this.tensors = [];
    this.capacity = this.length = 0;
  }
}

/** In this program's memory: for a runtime that computes there. */
export class SharedKv extends RoomyKv {
  protected override grown(capacity: number): OrtTensor[] {
    return this.shape.pasts.map((_, at) => {
      const old = (this.tensors[at]?.data as Numbers | undefined) ?? zeros(this.shape.dtype, 0);
      return tensorOf(this.ort, this.shape, resized(this.shape, old, this.capacity, this.length, capacity), capacity);
    });
  }
}

/** Past is exactly the tokens seen, present is past with the new ones: nothing but tokens is copied in and out. */
export class AppendedKv implements KvCache {
  length = 0;
  private tensors: OrtTensor[];

  constructor(
    private readonly ort: Ort,
    private readonly shape: KvShape,
  ) {
    this.tensors = this.empty();
  }

  prepare(): void {}

  pasts(): Tensors {
    return named(this.shape.pasts, this.tensors);
  }

  presents(): null {
    return null;
  }

  advance(total: number, given: Tensors): void {
    this.length = total;
    this.tensors = this.shape.presents.map((name) => given[name]!);
  }

  trim(length: number): void {
    if (length >= this.length) return;
    const { shape, length: before } = this;
    const cut = (tensor: OrtTensor): OrtTensor =>
      tensorOf(this.ort, shape, resized(shape, tensor.data as Numbers, before, length, length), length);
    this.tensors = length ? this.tensors.map(cut) : this.empty();
    this.length = length;
  }

  close(): void {
    this.tensors = this.empty();
    this.length = 0;
  }

  private empty(): OrtTensor[] {
    return this.shape.pasts.map(() => tensorOf(this.ort, this.shape, zeros(this.shape.dtype, 0), 0));
  }
}

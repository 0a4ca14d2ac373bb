/** One GPU buffer for past and present of each key and value, with room for later tokens. */

import { capacityFor, type KvCache, type KvShape, type Tensors } from "./kvCache.js";
import type { Ort, OrtTensor } from "./ort.js";

// https://www.w3.org/TR/webgpu/#buffer-usage
const [COPY_SRC, COPY_DST, STORAGE] = [0x04, 0x08, 0x80];

export class GpuKv implements KvCache {
  length = 0;
  private capacity = 0;
  private buffers: GPUBuffer[] = [];
  private tensors: OrtTensor[] = [];

  /** Buffers of ONNX Runtime's own device; the cache never exceeds `context` tokens. */
  constructor(
    private readonly ort: Ort,
    private readonly device: GPUDevice,
    private readonly shape: KvShape,
    private readonly context: number,
  ) {}

  get bytes(): number {
    return this.buffers.length * this.shape.bytes(this.capacity);
  }

  prepare(total: number): void {
    if (total <= this.capacity) return;
    const capacity = capacityFor(total, this.context);
    const { shape } = this;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const size = Math.ceil(shape.bytes(capacity) / 16) * 16;
    const buffers = shape.pasts.map(() => this.device.createBuffer({ size, usage })); // zeros, as WebGPU has it
    if (this.length) this.copy(buffers, capacity);
    for (const buffer of this.buffers) buffer.destroy();
    const dataType = shape.dtype as "float32" | "float16";
    this.tensors = buffers.map((buffer) => this.ort.Tensor.fromGpuBuffer(buffer, { dataType, dims: shape.dims(capacity) }));
    this.buffers = buffers;
    this.capacity = capacity;
  }

  pasts(): Tensors {
    return Object.fromEntries(this.shape.pasts.map((name, at) => [name, this.tensors[at]!]));
  }

  presents(): Tensors {
    return Object.fromEntries(this.shape.presents.map((name, at) => [name, this.tensors[at]!]));
  }

  advance(total: number): void {
    this.length = total;
  }

  trim(length: number): void {
    this.length = Math.min(this.length, length);
  }

  close(): void {
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers = [];
    this.tensors = [];
    this.capacity = this.length = 0;
  }

  /** Copy the tokens of each head to its place in larger buffers. */
  private copy(to: readonly GPUBuffer[], capacity: number): void {
    const encoder = this.device.createCommandEncoder();
    const [old, row, kept] = [this.capacity, capacity, this.length].map((tokens) => this.shape.bytes(tokens) / this.shape.heads);
    this.buffers.forEach((from, at) => {
      for (let head = 0; head < this.shape.heads; head++) {
        encoder.copyBufferToBuffer(from, head * old!, to[at]!, head * row!, kept!);
      }
    });
    this.device.queue.submit([encoder.finish()]);
  }
}

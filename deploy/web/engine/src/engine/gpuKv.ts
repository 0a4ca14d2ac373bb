/** One GPU buffer for past and present of each key and value, with room for later tokens. */

import { type KvShape, RoomyKv } from "./kvCache.js";
import type { Ort, OrtTensor } from "./ort.js";

// https://www.w3.org/TR/webgpu/#buffer-usage
const [COPY_SRC, COPY_DST, STORAGE] = [0x04, 0x08, 0x80];

/** Do work on a device; throws the first failure that WebGPU tells of it, which no call of it throws. */
export async function scoped<T>(device: GPUDevice, work: () => T | Promise<T>): Promise<T> {
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  try {
    return await work();
  } finally {
    const [memory, wrong] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (memory) throw new Error(`the GPU is out of memory: ${memory.message}`);
    if (wrong) throw new Error(wrong.message);
  }
}

export class GpuKv extends RoomyKv {
  private buffers: GPUBuffer[] = [];
  private failure: string | null = null;
  private readonly closing = new AbortController();

  /** Buffers of ONNX Runtime's own device. */
  constructor(
    ort: Ort,
    private readonly device: GPUDevice,
    shape: KvShape,
    context: number,
  ) {
    super(ort, shape, context);
    const onError = ({ error }: GPUUncapturedErrorEvent): void => void (this.failure ??= error.message);
    device.addEventListener("uncapturederror", onError, { signal: this.closing.signal }); // of ONNX Runtime's own buffers
    void device.lost.then(({ reason, message }) => (this.failure = `the device was lost (${reason}): ${message}`));
  }

  protected override async grown(capacity: number): Promise<OrtTensor[]> {
    const { shape, device } = this;
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const size = Math.ceil(shape.bytes(capacity) / 16) * 16;
    const buffers: GPUBuffer[] = [];
    try {
      await scoped(device, () => {
        for (const _ of shape.pasts) buffers.push(device.createBuffer({ size, usage })); // zeros, as WebGPU has it
        if (this.length) this.copy(buffers, capacity);
      });
    } catch (error) {
      for (const buffer of buffers) buffer.destroy();
      throw error;
    }
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers = buffers;
    const dataType = shape.dtype as "float32" | "float16";
    return buffers.map((buffer) => this.ort.Tensor.fromGpuBuffer(buffer, { dataType, dims: shape.dims(capacity) }));
  }

  check(): void {
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw new Error(failure);
  }

  override close(): void {
    super.close();
    this.closing.abort();
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers = [];
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

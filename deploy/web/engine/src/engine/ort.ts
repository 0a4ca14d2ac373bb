/** What the engine uses of ONNX Runtime's JavaScript API, which onnxruntime-web and onnxruntime-node have in common. */

import type { Env, InferenceSession, Tensor, TensorConstructor } from "onnxruntime-common";

export type OrtSession = InferenceSession;
export type OrtTensor = Tensor;

/** The module of either package. */
export interface Ort {
  readonly env: Env;
  readonly Tensor: TensorConstructor & { fromGpuBuffer(buffer: unknown, options: GpuTensorOptions): Tensor };
  readonly InferenceSession: {
    create(path: string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
    create(bytes: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
}

interface GpuTensorOptions {
  readonly dataType: "float32" | "float16";
  readonly dims: readonly number[];
}

/** onnxruntime-web on WebGPU: the adapter's limits are read first, and past and present are one buffer of its device. */

import type { Graph, ModelShape } from "../artifact/manifest.js";
import type { OnnxFile } from "../artifact/onnxFile.js";
import { GpuKv, scoped } from "../engine/gpuKv.js";
import { capacityFor, KvShape } from "../engine/kvCache.js";
import type { Ort } from "../engine/ort.js";
import { OrtLane } from "../engine/ortLane.js";
import { isUsable, type Loading, type Runtime } from "../engine/runtime.js";
import { unavailableError, wordsOf } from "../errors.js";
import { createSession, setUpWasm, type WasmOptions } from "./wasmRuntime.js";

// Steps of 32 tokens and more take an attention kernel that is silently wrong on devices with few lanes in a subgroup.
const WIDEST = 31;
// The features that ONNX Runtime's kernels use where there are any.
const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;
const LIMITS = [
  "maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage", "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** What of an adapter a choice of graph depends on. */
export interface GpuLimits {
  readonly float16: boolean;
  /** The most bytes of one buffer that a kernel reads. */
  readonly buffer: number;
}

export class GpuRuntime implements Runtime {
  readonly provider = "webgpu";
  readonly threads = null;
  private adapter: GPUAdapter | null = null;
  private limits: GpuLimits = { float16: false, buffer: 0 };

  /** `ort` is onnxruntime-web's module `webgpu`: the older one, with JSEP, computes these graphs wrongly. */
  constructor(
    private readonly ort: Ort,
    options: WasmOptions = {},
    private readonly gpu: GPU | undefined = globalThis.navigator?.gpu,
  ) {
    setUpWasm(ort, options);
  }

  async describe(): Promise<string> {
    const adapter = (this.adapter = await this.adapterOf());
    this.limits = limitsOf(adapter);
    const { vendor, architecture, device, description } = adapter.info;
    const version = this.ort.env.versions.web ?? this.ort.env.versions.common;
    return `onnxruntime-web ${version} webgpu ${vendor} ${architecture} ${device} ${description} ${navigator.userAgent}`;
  }

  suited(graphs: readonly Graph[]): readonly Graph[] {
    return graphsForGpu(graphs, this.limits);
  }

  refusal(_graph: Graph, model: ModelShape, onnx: OnnxFile): string | null {
    return refusalOf(this.limits, onnx.largest, new KvShape(model, _graph.kv));
  }

  async load(loading: Loading): Promise<OrtLane> {
    const { graph, model, onnx, context } = loading;
    const device = await this.device();
    const provider = { name: "webgpu", device } as { readonly name: string };
    const session = await createSession(this.ort, loading, [provider], onnx, (work) => scoped(device, work));
    const shape = new KvShape(model, graph.kv);
    const most = Math.min(context, tokensIn(this.limits.buffer, shape));
    const narrow = { ...graph, prefill_chunk: Math.min(WIDEST, graph.prefill_chunk) };
    return new OrtLane(this.ort, session, narrow, model, new GpuKv(this.ort, device, shape, most), most);
  }

  private async adapterOf(): Promise<GPUAdapter> {
    const adapter = await this.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw unavailableError("webgpu: this browser gives no GPU, expected one with WebGPU switched on");
    return adapter;
  }

  /** A device; an adapter gives one only (https://www.w3.org/TR/webgpu/#dom-gpuadapter-requestdevice). */
  private async device(): Promise<GPUDevice> {
    const adapter = this.adapter ?? (await this.adapterOf());
    this.adapter = null;
    const asked = {
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[],
      requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
    };
    return adapter.requestDevice(asked).catch((error: unknown) => {
      throw unavailableError(`webgpu: this browser gives no device (${wordsOf(error)}): reload the page, or open the model on the CPU`, error);
    });
  }
}

/** The limits of an adapter. */
export const limitsOf = (adapter: GPUAdapter): GpuLimits => ({
  float16: adapter.features.has("shader-f16"),
  buffer: Math.min(adapter.limits.maxBufferSize, adapter.limits.maxStorageBufferBindingSize),
});

/** Graphs for WebGPU that a device has the types for, then the CPU's with a float32 cache, which it runs as well. */
export function graphsForGpu(graphs: readonly Graph[], { float16 }: GpuLimits): readonly Graph[] {
  const typed = (graph: Graph): boolean =>
    graph.kv.dtype === "float32" ? graph.activations !== "float16" : graph.kv.dtype === "float16" && float16;
  const usable = graphs.filter((graph) => isUsable(graph) && typed(graph));
  const own = usable.filter((graph) => graph.providers[0] === "WebGpuExecutionProvider");
  return [...own, ...usable.filter((graph) => graph.providers[0] === "CPUExecutionProvider")];
}

/** Why a device can't run a graph whose largest tensor has so many bytes; null where it can. */
export function refusalOf(limits: GpuLimits, largest: number, shape: KvShape): string | null {
  if (largest > limits.buffer) return `one of its tensors has ${largest} bytes, and this GPU takes buffers of ${limits.buffer}`;
  const least = shape.bytes(capacityFor(1, Infinity));
  return least > limits.buffer ? `its KV cache begins with ${least} bytes, and this GPU takes buffers of ${limits.buffer}` : null;
}

/** The most tokens of a key or value that fit into a buffer. */
export const tokensIn = (buffer: number, shape: KvShape): number => Math.floor(buffer / shape.bytes(1));

/** What runs graphs: a build of ONNX Runtime on one device. `node` and `web` have them; tests write a fake. */

import type { Graph, ModelShape } from "../artifact/manifest.js";
import type { OnnxFile } from "../artifact/onnxFile.js";
import type { Lane } from "./lane.js";

/** What a graph is loaded from. */
export interface Loading {
  readonly graph: Graph;
  readonly model: ModelShape;
  readonly onnx: OnnxFile;
  /** Gives one of the files of weights that the graph names, checked. */
  weightsOf(name: string): Promise<Uint8Array>;
  /** Where the artifact lies, for a runtime that opens weights by itself; null where it can't. */
  readonly folder: string | null;
  /** Have a file checked that is opened that way. */
  check(name: string): Promise<void>;
  /** The most tokens of the sequence. */
  readonly context: number;
}

export interface Runtime {
  /** `cpu`, `wasm` or `webgpu`, as the report says it. */
  readonly provider: string;
  readonly threads: number | null;
  /** Names build and device, whose verdicts hold as long as it is the same. Throws an unavailable error: no device. */
  describe(): Promise<string>;
  /** The graphs that suit it, best first; others are left out. */
  suited(graphs: readonly Graph[]): readonly Graph[];
  /** Why the device can't run a graph, in words; null where it can. */
  refusal(graph: Graph, model: ModelShape, onnx: OnnxFile): string | null;
  /** Load a graph. Throws an artifact error where ONNX Runtime refuses it. */
  load(loading: Loading): Promise<Lane>;
}

/** Graphs for the CPU over one KV cache, in the manifest's order: an int8 cache comes first where there is one. */
export const graphsForCpu = (graphs: readonly Graph[]): readonly Graph[] =>
  graphs.filter((graph) => graph.providers[0] === "CPUExecutionProvider" && isUsable(graph));

/** Whether a graph can serve conversations: fused, its cache in place, several tokens over others. */
export const isUsable = (graph: Graph): boolean =>
  graph.fused && graph.kv.in_place && !graph.kv.token_scales && graph.several_tokens_over_past && !graph.plain_norms;

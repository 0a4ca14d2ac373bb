/** onnxruntime-node on the CPU: past and present are one array of this program, and weights are mapped from their file. */

import { arch, cpus, platform } from "node:os";
import type { Graph } from "../artifact/manifest.js";
import { KvShape, SharedKv } from "../engine/kvCache.js";
import type { Ort } from "../engine/ort.js";
import { ANOTHER, KEEP, OrtLane } from "../engine/ortLane.js";
import { graphsForCpu, type Loading, type Runtime } from "../engine/runtime.js";
import { artifactError, failure, inputError } from "../errors.js";

const ERRORS_ONLY = 3; // ONNX Runtime warns about the optional input `logits_to_keep` on every load

export class NodeRuntime implements Runtime {
  readonly provider = "cpu";

  /** `ort` is the module onnxruntime-node; `threads` are left to ONNX Runtime where null. */
  constructor(
    private readonly ort: Ort,
    readonly threads: number | null = null,
  ) {
    if (threads !== null && !(Number.isInteger(threads) && threads > 0)) throw inputError(`threads is ${threads}, expected 1 or more`);
  }

  async describe(): Promise<string> {
    const { versions } = this.ort.env;
    return `onnxruntime-node ${versions.node ?? versions.common} ${platform()} ${arch()} ${cpus()[0]?.model ?? ""}`;
  }

  suited(graphs: readonly Graph[]): readonly Graph[] {
    return graphsForCpu(graphs);
  }

  refusal(): null {
    return null;
  }

  async load({ graph, model, onnx, folder, check, context }: Loading): Promise<OrtLane> {
    if (folder === null) throw artifactError(`${graph.file} lies in no folder of this machine, expected one: onnxruntime-node maps weights from there`);
    for (const name of onnx.locations) await check(name);
    const session = await this.ort.InferenceSession.create(onnx.withRequired(KEEP).bytes, {
      executionProviders: ["cpu"],
      logSeverityLevel: ERRORS_ONLY,
      ...(this.threads === null ? {} : { intraOpNumThreads: this.threads }),
      extra: { session: { model_external_initializers_file_folder_path: folder } },
    }).catch((error: unknown) => {
      throw failure(`${graph.file} can't be loaded by onnxruntime-node`, error, ANOTHER);
    });
    return new OrtLane(this.ort, session, graph, model, new SharedKv(this.ort, new KvShape(model, graph.kv), context), context);
  }
}

/** From an artifact to a model: manifest, files, the graph that the device can run, and whether it computes rightly. */

import { CheckedFiles, throwIfAborted } from "./artifact/checkedFiles.js";
import { faultOf, parseGoldens, quick, score } from "./artifact/goldenCheck.js";
import { type Graph, type GoldenScore, MANIFEST, type ReadManifest, readManifest } from "./artifact/manifest.js";
import { OnnxFile } from "./artifact/onnxFile.js";
import type { ArtifactSource } from "./artifact/source.js";
import { carefully, MemoryStore, type Store } from "./artifact/store.js";
import type { Lane } from "./engine/lane.js";
import type { Runtime } from "./engine/runtime.js";
import { artifactError, inputError, ThinkportError, unavailableError, wordsOf } from "./errors.js";
import { LoadedModel } from "./loadedModel.js";
import type { GraphVerdict, Model, ModelReport, OpenProgress } from "./model.js";
import { ChatTemplate } from "./prompt/template.js";
import { ModelTokenizer } from "./prompt/tokenizer.js";
import { asThinking, THINKING, type ThinkingAsked } from "./thinking/thinking.js";

export interface OpenOptions {
  readonly source: ArtifactSource;
  /** What may run it, the preferred first; a later one is taken where an earlier one can't or computes wrongly. */
  readonly runtimes: readonly Runtime[];
  /** A graph's file, in place of the best one. */
  readonly graph?: string | null;
  /** How replies think unless a chat or a call says otherwise. */
  readonly thinking?: ThinkingAsked | null;
  /** The most tokens of a conversation, at most the model's own context: it bounds what the KV cache takes. */
  readonly contextLength?: number | null;
  /** Check the hashes of all files again, also of those that were right before and have not changed. */
  readonly verify?: boolean;
  /** Where verdicts are kept; without one they last as long as the program. */
  readonly store?: Store;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: OpenProgress) => void;
}

const MEMORY = new MemoryStore();

/**
 * Open an artifact. Throws an artifact error (damaged, for another task, wrong on each device), an unavailable one
 * (nothing here can run it), an input error (an unknown graph) or a cancelled one.
 */
export async function openModel(options: OpenOptions): Promise<Model> {
  const { source, signal, contextLength = null } = options;
  throwIfAborted(signal);
  const read = await readManifest(source, { signal });
  const { manifest } = read;
  if (manifest.embedding || manifest.reranking) {
    throw artifactError(`${source.place} is an artifact that ${manifest.embedding ? "embeds" : "reranks"}: open one that chats`);
  }
  const context = checkedContext(contextLength, manifest.model.context_length);
  const opening = new Opening(options, read, context);
  try {
    const replies = [
      new ModelTokenizer(await opening.files.text(manifest.tokenizer)),
      new ChatTemplate(await opening.files.text(manifest.chat_template), manifest.special_tokens),
    ] as const;
    const thinking = asThinking(options.thinking, THINKING) ?? THINKING;
    const { lane, report } = await opening.bestGraph();
    return new LoadedModel(manifest, ...replies, thinking, lane, report);
  } finally {
    opening.files.close();
  }
}

function checkedContext(asked: number | null, most: number): number {
  if (asked === null) return most;
  if (!Number.isInteger(asked) || asked < 2) throw inputError(`contextLength is ${asked}, expected 2 tokens or more`);
  return Math.min(asked, most);
}

interface Found {
  readonly lane: Lane;
  readonly report: ModelReport;
}

/** The search for a graph that runs here and is right. */
class Opening {
  readonly files: CheckedFiles;
  private readonly store: Store;
  private readonly verdicts: GraphVerdict[] = [];
  private wrong = 0; // of them, by the goldens
  private readonly seconds = { files: 0, session: 0, goldens: 0 };

  constructor(
    private readonly options: OpenOptions,
    private readonly read: ReadManifest,
    private readonly context: number,
  ) {
    const { signal, source, verify = false, onProgress = () => undefined } = options;
    this.store = carefully(options.store ?? MEMORY);
    let done = 0;
    const total = Math.max(...read.manifest.graphs.map((graph) => this.bytesFor(graph)));
    const onBytes = (bytes: number): void => onProgress({ stage: "files", done: Math.min((done += bytes), total), total });
    this.files = new CheckedFiles(source, read, this.store, { signal, onBytes }, verify);
  }

  /** The first graph that runs and is right, by the order of the runtimes and of what suits each. */
  async bestGraph(): Promise<Found> {
    for (const runtime of this.options.runtimes) {
      const device = await this.deviceOf(runtime);
      if (device === null) continue;
      for (const graph of this.candidates(runtime)) {
        const found = await this.tried(runtime, graph, device);
        if (found) return found;
      }
    }
    const reasons = this.verdicts.map(({ file, reason }) => `${file}: ${reason}`).join("; ");
    const error = this.wrong > 0 && this.wrong === this.verdicts.length ? artifactError : unavailableError;
    throw error(`nothing in ${this.options.source.place} runs here (${reasons || "no graph for these runtimes"})`);
  }

  private async deviceOf(runtime: Runtime): Promise<string | null> {
    try {
      return await runtime.describe();
    } catch (error) {
      this.verdicts.push({ file: runtime.provider, taken: false, reason: wordsOf(error) });
      return null;
    }
  }

  private candidates(runtime: Runtime): readonly Graph[] {
    const { graphs } = this.read.manifest;
    const { graph } = this.options;
    if (!graph) return runtime.suited(graphs);
    const named = graphs.filter((one) => one.file === graph);
    if (!named.length) {
      throw inputError(`there is no graph ${graph} in the artifact, expected one of: ${graphs.map((one) => one.file).join(", ")}`);
    }
    return runtime.suited(named);
  }

  private async tried(runtime: Runtime, graph: Graph, device: string): Promise<Found | null> {
    throwIfAborted(this.options.signal);
    const refuse = (reason: string): null => {
      this.verdicts.push({ file: graph.file, taken: false, reason: `${runtime.provider}: ${reason}` });
      return null;
    };
    const distrust = (fault: string): null => {
      this.wrong++;
      return refuse(fault);
    };
    const key = `goldens ${this.read.fingerprint} ${graph.file} ${device}`;
    const kept = JSON.parse((await this.store.get(key)) ?? "null") as Verdict | null;
    if (kept?.fault) return distrust(`${kept.fault} (found out before)`);
    let lane: Lane | null = null;
    try {
      const onnx = new OnnxFile(await this.timed("files", () => this.files.bytes(graph.file)), graph.file);
      const refusal = runtime.refusal(graph, this.read.manifest.model, onnx);
      if (refusal) return refuse(refusal);
      lane = await this.loaded(runtime, graph, onnx);
      const { score, fault } = kept ?? (await this.checked(lane, graph, key));
      if (!fault) return { lane, report: this.report(runtime, graph, lane.contextLength, score, kept !== null) };
      distrust(fault);
    } catch (error) {
      await lane?.close();
      const here = error instanceof ThinkportError && error.code !== "cancelled" && !isDamage(error, this.options.source.place);
      if (!here) throw error;
      return refuse(error.message);
    }
    await lane.close();
    return null;
  }

  private async loaded(runtime: Runtime, graph: Graph, onnx: OnnxFile): Promise<Lane> {
    const { source, onProgress } = this.options;
    const { model } = this.read.manifest;
    onProgress?.({ stage: "session", done: 0, total: 1 });
    const begun = performance.now();
    const before = this.seconds.files;
    const lane = await runtime.load({
      graph,
      model,
      onnx,
      weightsOf: (name) => this.timed("files", () => this.files.weights(name)),
      folder: source.path?.("") ?? null,
      check: (name) => this.timed("files", () => this.files.unread(name)),
      context: this.context,
    });
    this.seconds.session += (performance.now() - begun) / 1000 - (this.seconds.files - before);
    return lane;
  }

  /** What the goldens say of a graph, which is kept by a key; nothing where the artifact has none for it. */
  private async checked(lane: Lane, graph: Graph, key: string): Promise<Verdict> {
    const { certificate } = this.read.manifest;
    const figure = certificate?.figures.find((one) => one.graph === graph.file);
    const place = `${this.options.source.place}/${certificate?.goldens}`;
    const asked = certificate ? quick(parseGoldens(await this.files.bytes(certificate.goldens), place), figure) : [];
    if (!asked.length) return { score: null, fault: null };
    const onPrompt = (done: number): void => {
      throwIfAborted(this.options.signal);
      this.options.onProgress?.({ stage: "goldens", done, total: asked.length });
    };
    const found = await this.timed("goldens", () => score(lane, asked, onPrompt));
    const verdict = { score: found, fault: faultOf(found, figure?.quick_score) };
    await this.store.set(key, JSON.stringify(verdict));
    return verdict;
  }

  private report(runtime: Runtime, graph: Graph, contextLength: number, found: GoldenScore | null, kept: boolean): ModelReport {
    return {
      provider: runtime.provider,
      graph: graph.file,
      kv: graph.kv.dtype,
      threads: runtime.threads,
      contextLength,
      graphs: [...this.verdicts, { file: graph.file, taken: true, reason: `${runtime.provider}: the first that runs and is right` }],
      goldens: found && { correlation: found.correlation, kl: found.kl, top1: found.top1, kept },
      seconds: this.seconds,
    };
  }

  private async timed<T>(stage: keyof Opening["seconds"], work: () => Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      return await work();
    } finally {
      this.seconds[stage] += (performance.now() - begun) / 1000;
    }
  }

  /** Bytes of a graph and of all weights, which are most of what is read. */
  private bytesFor(graph: Graph): number {
    const { files, tokenizer } = this.read.manifest;
    const weights = Object.entries(files).filter(([name]) => name.endsWith(".bin"));
    return [files[graph.file]!, files[tokenizer]!, ...weights.map(([, record]) => record)].reduce((sum, one) => sum + one.bytes, 0);
  }
}

interface Verdict {
  readonly score: GoldenScore | null;
  readonly fault: string | null;
}

/** Whether an error is the artifact's and not the device's: no other graph would help. */
const isDamage = (error: ThinkportError, place: string): boolean =>
  error.code === "artifact" && error.message.startsWith(`${place}/`) && !error.message.startsWith(`${place}/${MANIFEST}:`);

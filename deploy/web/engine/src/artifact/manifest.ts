/**
 * The artifact's manifest, `thinkport.json`: what of it the engine reads. Other keys are kept as they are; the Python
 * runtime's `artifact/manifest.py` is the schema.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { artifactError, wordsOf } from "../errors.js";
import type { ArtifactSource, ReadOptions } from "./source.js";

export const MANIFEST = "thinkport.json";
const SCHEMA = 1;

export interface FileRecord {
  readonly bytes: number;
  readonly sha256: string;
}

export interface ModelShape {
  readonly family: string;
  readonly layers: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly vocab_size: number;
  readonly context_length: number;
}

export type KvType = "float32" | "float16" | "int8";

export interface KvLayout {
  readonly dtype: KvType;
  readonly in_place: boolean;
  readonly token_scales?: boolean;
}

export interface Graph {
  readonly file: string;
  readonly target: string;
  readonly providers: readonly string[];
  readonly fused: boolean;
  readonly kv: KvLayout;
  readonly several_tokens_over_past: boolean;
  readonly prefill_chunk: number;
  readonly activations?: "float32" | "float16" | "bfloat16";
  readonly plain_norms?: boolean;
}

export interface ThinkingIds {
  readonly start: number;
  readonly end: number;
}

/** As in a generation_config.json; a temperature of 0 is greedy, a top_k of 0 is no limit. */
export interface SamplingPreset {
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  readonly presence_penalty: number;
  readonly repetition_penalty: number;
}

/** How a graph agreed with the checkpoint at export: means over `rows` positions of the golden prompts. */
export interface GoldenScore {
  readonly rows: number;
  readonly correlation: number;
  readonly kl: number;
  readonly top1: number;
}

export interface GraphFigure {
  readonly graph: string;
  readonly score: GoldenScore;
  readonly quick_score: GoldenScore;
  readonly prompts?: readonly string[] | null;
}

export interface Manifest {
  readonly schema_version: number;
  readonly name: string;
  readonly created: string;
  readonly model: ModelShape;
  readonly graphs: readonly Graph[];
  readonly tokenizer: string;
  readonly chat_template: string;
  readonly special_tokens: Readonly<Record<string, string>>;
  readonly thinking: ThinkingIds | null;
  readonly enable_thinking?: boolean | null;
  readonly stop_ids: readonly number[];
  readonly sampling: { readonly thinking: SamplingPreset; readonly answering: SamplingPreset };
  readonly certificate: { readonly goldens: string; readonly figures: readonly GraphFigure[] } | null;
  readonly embedding?: unknown;
  readonly reranking?: unknown;
  readonly files: Readonly<Record<string, FileRecord>>;
}

/** A manifest and the sha256 of its file, which names the artifact: two with one fingerprint have one content. */
export interface ReadManifest {
  readonly manifest: Manifest;
  readonly fingerprint: string;
}

/** Items of the KV cache that a key or value of one token and head takes. */
export const kvWidth = (model: ModelShape, kv: KvLayout): number => model.head_dim + (kv.token_scales ? 4 : 0);

export const KV_BYTES: Readonly<Record<KvType, number>> = { float32: 4, float16: 2, int8: 1 };

/** Read and check the manifest of an artifact; other files are not looked at. Throws an artifact error. */
export async function readManifest(source: ArtifactSource, options: ReadOptions = {}): Promise<ReadManifest> {
  const bytes = await source.read(MANIFEST, options);
  const fingerprint = bytesToHex(sha256(bytes));
  return { manifest: parseManifest(new TextDecoder().decode(bytes), source.place), fingerprint };
}

/** The manifest that a text is. Throws an artifact error that begins with the `place`. */
export function parseManifest(text: string, place: string): Manifest {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw artifactError(`${place}/${MANIFEST} is not JSON (${wordsOf(error)}): export or copy the artifact again`);
  }
  const manifest = raw as Manifest;
  const version: unknown = manifest?.schema_version;
  if (typeof version === "number" && version > SCHEMA) {
    throw artifactError(`${place}/${MANIFEST} has schema version ${version}, this engine reads up to ${SCHEMA}: upgrade it`);
  }
  const missing = version === SCHEMA ? missingIn(manifest) : "schema_version";
  if (missing) throw artifactError(`${place}/${MANIFEST}: ${missing} is missing or malformed: export the artifact again`);
  checkNames(manifest, place);
  return manifest;
}

const SHAPE = ["layers", "kv_heads", "head_dim", "vocab_size", "context_length"] as const;
const PRESET = ["temperature", "top_k", "top_p", "min_p", "presence_penalty", "repetition_penalty"] as const;
const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const hasNumbers = (value: unknown, names: readonly string[]): boolean =>
  isObject(value) && names.every((name) => Number.isFinite((value as Record<string, unknown>)[name]));

function missingIn(manifest: Manifest): string | null {
  const { model, graphs, stop_ids, sampling, files, thinking, certificate } = manifest;
  if (!hasNumbers(model, SHAPE)) return "model";
  if (!Array.isArray(graphs) || !graphs.every(isGraph)) return "graphs";
  if (!Array.isArray(stop_ids) || !stop_ids.every(Number.isInteger)) return "stop_ids";
  if (!hasNumbers(sampling?.thinking, PRESET) || !hasNumbers(sampling?.answering, PRESET)) return "sampling";
  if (thinking && !hasNumbers(thinking, ["start", "end"])) return "thinking";
  if (certificate && !(Array.isArray(certificate.figures) && certificate.figures.every(isObject))) return "certificate";
  if (!isObject(files) || !Object.values(files).every(isRecord)) return "files";
  return typeof manifest.tokenizer !== "string" || typeof manifest.chat_template !== "string" ? "tokenizer" : null;
}

const isRecord = (record: FileRecord): boolean => hasNumbers(record, ["bytes"]) && /^[0-9a-f]{64}$/.test(record.sha256);

const isGraph = (graph: Graph): boolean =>
  isObject(graph) &&
  typeof graph.file === "string" &&
  Array.isArray(graph.providers) &&
  graph.kv?.dtype in KV_BYTES &&
  hasNumbers(graph, ["prefill_chunk"]);

function checkNames(manifest: Manifest, place: string): void {
  for (const name of Object.keys(manifest.files)) {
    if (!name || name.startsWith("/") || /[\\:]/.test(name) || name.split("/").includes("..")) {
      throw artifactError(`${place}/${MANIFEST}: ${JSON.stringify(name)} leads out of the artifact's folder`);
    }
  }
  const named = [manifest.tokenizer, manifest.chat_template, ...manifest.graphs.map((graph) => graph.file)];
  if (manifest.certificate) named.push(manifest.certificate.goldens);
  for (const name of named) {
    if (!(name in manifest.files)) {
      throw artifactError(`${place}/${MANIFEST}: ${name} is not among the artifact's files: export it again`);
    }
  }
}

/**
 * What must be known of a graph's file before ONNX Runtime opens it: where its weights lie, and how large they are.
 *
 * Reads the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding) with the field numbers of
 * onnx.proto: ModelProto.graph 7; GraphProto.initializer 5; TensorProto.name 8, raw_data 9, external_data 13.
 */

import { artifactError } from "../errors.js";

/** Bytes of another file that one tensor is. */
export interface ExternalTensor {
  readonly location: string;
  readonly offset: number;
  readonly bytes: number;
}

interface Field {
  readonly number: number;
  /** Where the tag begins, the content begins, and both end. */
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

const TEXT = new TextDecoder();

/** The graph of an ONNX file; the constructor throws an artifact error where the bytes are none. */
export class OnnxFile {
  readonly external: readonly ExternalTensor[];
  private readonly graph: Field;
  private readonly initializers: readonly Field[];

  constructor(
    private readonly bytes: Uint8Array,
    name: string,
  ) {
    const graph = fields(bytes, 0, bytes.length).find((field) => field.number === 7);
    if (!graph) throw artifactError(`${name} is no ONNX file: copy the artifact again, or export it again`);
    this.graph = graph;
    this.initializers = fields(bytes, graph.start, graph.end).filter((field) => field.number === 5);
    this.external = this.initializers.flatMap((field) => externalOf(bytes, field));
  }

  /** The largest tensor in bytes: what a device must take as one buffer. */
  get largest(): number {
    return this.external.reduce((most, tensor) => Math.max(most, tensor.bytes), 0);
  }

  /** The files that its weights are in. */
  get locations(): readonly string[] {
    return [...new Set(this.external.map((tensor) => tensor.location))];
  }

  /**
   * The file without the value of an optional input, which is thereby one that must be fed: ONNX Runtime's JavaScript
   * API takes no other. Whether there was one is `required`.
   */
  withRequired(input: string): { bytes: Uint8Array; required: boolean } {
    const value = this.initializers.find((field) => nameOf(this.bytes, field) === input);
    if (!value) return { bytes: this.bytes, required: false };
    const length = this.graph.end - this.graph.start - (value.end - value.tag);
    const parts = [
      this.bytes.subarray(0, this.graph.tag),
      Uint8Array.from([(7 << 3) | 2, ...varint(length)]),
      this.bytes.subarray(this.graph.start, value.tag),
      this.bytes.subarray(value.end),
    ];
    const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      made.set(part, at);
      at += part.length;
    }
    return { bytes: made, required: true };
  }
}

function fields(bytes: Uint8Array, from: number, to: number): Field[] {
  const found: Field[] = [];
  for (let at = from; at < to; ) {
    const tag = at;
    let key: number;
    [key, at] = readVarint(bytes, at);
    let start = at;
    const wire = key & 7;
    if (wire === 0) [, at] = readVarint(bytes, at);
    else if (wire === 2) {
      let length: number;
      [length, start] = readVarint(bytes, at);
      at = start + length;
    } else at += wire === 1 ? 8 : 4;
    if (at > to || ![0, 1, 2, 5].includes(wire)) return found; // no such message; the caller misses what it needs
    found.push({ number: Math.floor(key / 8), tag, start, end: at });
  }
  return found;
}

function readVarint(bytes: Uint8Array, from: number): [number, number] {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length && at < from + 10; at++, factor *= 128) {
    value += (bytes[at]! & 127) * factor;
    if (bytes[at]! < 128) return [value, at + 1];
  }
  return [value, bytes.length + 1];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}

const text = (bytes: Uint8Array, field: Field | undefined): string => (field ? TEXT.decode(bytes.subarray(field.start, field.end)) : "");

const nameOf = (bytes: Uint8Array, tensor: Field): string =>
  text(bytes, fields(bytes, tensor.start, tensor.end).find((field) => field.number === 8));

function externalOf(bytes: Uint8Array, tensor: Field): ExternalTensor[] {
  const entries = fields(bytes, tensor.start, tensor.end).filter((field) => field.number === 13);
  if (!entries.length) return [];
  const pairs = entries.map((entry) => {
    const inside = fields(bytes, entry.start, entry.end);
    return [1, 2].map((number) => text(bytes, inside.find((field) => field.number === number)));
  });
  const values = Object.fromEntries(pairs) as Record<string, string>;
  return [{ location: values.location ?? "", offset: Number(values.offset ?? 0), bytes: Number(values.length ?? 0) }];
}

/**
 * What must be known and changed of a graph's file before ONNX Runtime opens it: where its weights lie, and how large they are.
 *
 * Field numbers are those of onnx.proto: ModelProto.graph 7; GraphProto.node 1, initializer 5.
 */

import { artifactError } from "../errors.js";
import { narrowed } from "./narrowProducts.js";
import { bytesField, type Field, fields, joined } from "./protobuf.js";
import { type ExternalTensor, externalOf, nameOf } from "./tensorProto.js";

const GRAPH = 7;
const NODE = 1;
const INITIALIZER = 5;

/** The graph of an ONNX file; the constructor throws an artifact error where the bytes are none. */
export class OnnxFile {
  readonly external: readonly ExternalTensor[];
  private readonly inside: readonly Field[];

  constructor(
    readonly bytes: Uint8Array,
    private readonly name: string,
  ) {
    const graph = fields(bytes).find((field) => field.number === GRAPH);
    if (!graph) throw artifactError(`${name} is no ONNX file: copy the artifact again, or export it again`);
    this.inside = fields(graph.content);
    this.external = this.initializers.flatMap((tensor) => externalOf(tensor) ?? []);
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
   * API takes no other.
   */
  withRequired(input: string): OnnxFile {
    return this.with(this.inside.filter(({ number, content }) => number !== INITIALIZER || nameOf(content) !== input));
  }

  /**
   * The file in which no product of quantized weights has more than `most` of them: a wider one becomes products of some
   * of its rows each, whose outputs are joined. Numbers differ by rounding at most.
   */
  withNarrowProducts(most: number): OnnxFile {
    const tensors = new Map(this.initializers.map((tensor) => [nameOf(tensor), tensor]));
    const made = this.inside.map((field) => {
      const rows = field.number === NODE ? narrowed(field.content, tensors, most) : null;
      return rows ? [...rows.nodes.map((node) => bytesField(NODE, node)), ...rows.tensors.map((tensor) => bytesField(INITIALIZER, tensor))] : [field];
    });
    return this.with(made.flat());
  }

  private get initializers(): Uint8Array[] {
    return this.inside.filter((field) => field.number === INITIALIZER).map(({ content }) => content);
  }

  private with(inside: readonly Field[]): OnnxFile {
    const graph = bytesField(GRAPH, ...inside.map(({ whole }) => whole));
    return new OnnxFile(joined(fields(this.bytes).map((field) => (field.number === GRAPH ? graph : field).whole)), this.name);
  }
}

/**
 * What must be known and changed of a graph's file before ONNX Runtime opens it: where its weights lie, how large they are,
 * which inputs must be fed, and how wide its products are.
 *
 * WebAssembly has no kernel that multiplies by quantized weights (com.microsoft's MatMulNBits): it writes all weights of a
 * product in float32 before each step, which are 622 MB for the head of a 0.6B. So products are cut into rows of the weight.
 */

import { artifactError } from "../errors.js";
import { bytesField, type Field, fields, joined, numberField, numbersOf, textField, textOf } from "./protobuf.js";

// Field numbers of onnx.proto. ModelProto, GraphProto:
const GRAPH = 7;
const NODE = 1;
const INITIALIZER = 5;
// NodeProto; AttributeProto, whose type INT is 2:
const [INPUT, OUTPUT, NODE_NAME, OPERATOR, ATTRIBUTE] = [1, 2, 3, 4, 5];
const [ATTRIBUTE_NAME, INTEGER, TYPE] = [1, 3, 20];
// TensorProto; StringStringEntryProto:
const [DIMS, NAME, RAW, EXTERNAL] = [1, 8, 9, 13];
const [KEY, VALUE] = [1, 2];

/** Bytes of another file that one tensor is. */
export interface ExternalTensor {
  readonly location: string;
  readonly offset: number;
  readonly bytes: number;
}

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
    this.external = this.initializers.flatMap((tensor) => externalOf(fields(tensor)) ?? []);
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
    const kept = this.inside.filter(({ number, content }) => number !== INITIALIZER || nameOf(content) !== input);
    return this.with(kept.map(({ whole }) => whole));
  }

  /**
   * The file in which no product of quantized weights has more than `most` of them: a wider one becomes products of some
   * of its rows each, whose outputs are joined. Numbers differ by rounding at most.
   */
  withNarrowProducts(most: number): OnnxFile {
    const tensors = new Map(this.initializers.map((tensor) => [nameOf(tensor), tensor]));
    return this.with(this.inside.flatMap(({ number, content, whole }) => (number === NODE && narrowed(content, tensors, most)) || [whole]));
  }

  private get initializers(): Uint8Array[] {
    return this.inside.filter((field) => field.number === INITIALIZER).map(({ content }) => content);
  }

  private with(inside: readonly Uint8Array[]): OnnxFile {
    const graph = bytesField(GRAPH, ...inside);
    return new OnnxFile(joined(fields(this.bytes).map(({ number, whole }) => (number === GRAPH ? graph : whole))), this.name);
  }
}

const nameOf = (tensor: Uint8Array): string => textOf(fields(tensor), NAME);

/** Where a tensor lies; null where its values are in the file itself. */
function externalOf(tensor: readonly Field[]): ExternalTensor | null {
  const entries = tensor.filter((field) => field.number === EXTERNAL).map(({ content }) => fields(content));
  if (!entries.length) return null;
  const values = Object.fromEntries(entries.map((entry) => [textOf(entry, KEY), textOf(entry, VALUE)]));
  return { location: values.location ?? "", offset: Number(values.offset ?? 0), bytes: Number(values.length ?? 0) };
}

/** The graph's fields that take a node's place; null where the node stays: no product, not as wide, or not cut by rows. */
function narrowed(node: Uint8Array, tensors: ReadonlyMap<string, Uint8Array>, most: number): Uint8Array[] | null {
  const inside = fields(node);
  if (textOf(inside, OPERATOR) !== "MatMulNBits") return null;
  const [columns, rows] = ["K", "N"].map((name) => integer(inside, name)) as [number, number];
  const [activations, ...weights] = inside.filter((field) => field.number === INPUT).map((field) => textOf([field], INPUT)) as [string, ...string[]];
  const order = weights[3]; // the input that reorders columns, which all rows share
  if (columns * rows <= most || order) return null;
  const each = Math.ceil(rows / Math.ceil((columns * rows) / most));
  const [output, name] = [textOf(inside, OUTPUT), textOf(inside, NODE_NAME)];
  const made: Uint8Array[] = [];
  const outputs: string[] = [];
  for (let from = 0; from < rows; from += each) {
    const to = Math.min(rows, from + each);
    for (const weight of weights.filter(Boolean)) {
      const tensor = tensors.has(weight) ? rowsOf(tensors.get(weight)!, rows, from, to) : null;
      if (!tensor) return null;
      made.push(bytesField(INITIALIZER, ...tensor));
    }
    outputs.push(rowsName(output, from));
    made.push(
      bytesField(
        NODE,
        ...[activations, ...weights.map((weight) => weight && rowsName(weight, from))].map((input) => textField(INPUT, input)),
        textField(OUTPUT, outputs.at(-1)!),
        textField(NODE_NAME, rowsName(name, from)),
        ...inside.filter((field) => field.number > NODE_NAME && !isAttribute(field, "N")).map(({ whole }) => whole),
        attribute("N", to - from),
      ),
    );
  }
  const joins = [...outputs.map((input) => textField(INPUT, input)), textField(OUTPUT, output)];
  return [...made, bytesField(NODE, ...joins, textField(NODE_NAME, `${name} joined`), textField(OPERATOR, "Concat"), attribute("axis", -1))];
}

/** Fields of a tensor that is rows `from` to `to` of one of `rows`, or of what lies flat as so many; null where it can't be cut so. */
function rowsOf(tensor: Uint8Array, rows: number, from: number, to: number): Uint8Array[] | null {
  const inside = fields(tensor);
  const [first = 0, ...rest] = numbersOf(inside, DIMS);
  const external = externalOf(inside);
  const raw = inside.find((field) => field.number === RAW)?.content;
  const bytes = external?.bytes ?? raw?.length ?? 0;
  if (!bytes || first % rows || bytes % rows || (rest.length && first !== rows)) return null;
  const each = bytes / rows;
  const place = external && { location: external.location, offset: external.offset + from * each, length: (to - from) * each };
  return [
    ...inside.filter(({ number }) => ![DIMS, NAME, RAW, EXTERNAL].includes(number)).map(({ whole }) => whole),
    textField(NAME, rowsName(textOf(inside, NAME), from)),
    ...[(first / rows) * (to - from), ...rest].map((size) => numberField(DIMS, size)),
    ...(place
      ? Object.entries(place).map(([key, value]) => bytesField(EXTERNAL, textField(KEY, key), textField(VALUE, String(value))))
      : [bytesField(RAW, raw!.subarray(from * each, to * each))]),
  ];
}

/** What the rows from one on of something are called. */
const rowsName = (name: string, from: number): string => `${name} from row ${from}`;

const attribute = (name: string, value: number): Uint8Array =>
  bytesField(ATTRIBUTE, textField(ATTRIBUTE_NAME, name), numberField(INTEGER, value), numberField(TYPE, 2));

const isAttribute = ({ number, content }: Field, name: string): boolean => number === ATTRIBUTE && textOf(fields(content), ATTRIBUTE_NAME) === name;

function integer(node: readonly Field[], name: string): number {
  const found = node.find((field) => isAttribute(field, name));
  return found ? (numbersOf(fields(found.content), INTEGER)[0] ?? 0) : 0;
}

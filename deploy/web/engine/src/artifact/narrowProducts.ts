/**
 * Products of quantized weights (com.microsoft's MatMulNBits) cut into some rows of the weight each.
 *
 * WebAssembly has no kernel that multiplies by quantized weights: it writes all weights of a product in float32 before each
 * step, which are 622 MB for the head of a 0.6B. Field numbers are those of onnx.proto: NodeProto.input 1, output 2, name 3,
 * op_type 4, attribute 5; AttributeProto.name 1, i 3, type 20, whose INT is 2.
 */

import { bytesField, type Field, fields, joined, numberField, numberOf, textField, textOf } from "./protobuf.js";
import { rowsName, rowsOf } from "./tensorProto.js";

const INPUT = 1;
const OUTPUT = 2;
const NAME = 3;
const OPERATOR = 4;
const ATTRIBUTE = 5;
const ORDER = 4; // the input that reorders columns, which all rows share

/** The nodes and tensors that take a node's place; null where the node stays: no product, not as wide, or not cut by rows. */
export function narrowed(node: Uint8Array, tensors: ReadonlyMap<string, Uint8Array>, most: number): { nodes: Uint8Array[]; tensors: Uint8Array[] } | null {
  const inside = fields(node);
  const textIn = (number: number): string => textOf(inside.find((field) => field.number === number));
  if (textIn(OPERATOR) !== "MatMulNBits") return null;
  const [columns, rows] = ["K", "N"].map((name) => integer(inside, name)) as [number, number];
  const [activations, ...weights] = inside.filter((field) => field.number === INPUT).map(textOf) as [string, ...string[]];
  if (columns * rows <= most || weights[ORDER - 1]) return null;
  const each = Math.ceil(rows / Math.ceil((columns * rows) / most));
  const made = { nodes: [] as Uint8Array[], tensors: [] as Uint8Array[] };
  const outputs: string[] = [];
  for (let from = 0; from < rows; from += each) {
    const to = Math.min(rows, from + each);
    for (const name of weights.filter(Boolean)) {
      const tensor = tensors.has(name) ? rowsOf(tensors.get(name)!, rows, from, to) : null;
      if (!tensor) return null;
      made.tensors.push(tensor);
    }
    outputs.push(rowsName(textIn(OUTPUT), from));
    made.nodes.push(
      joined([
        ...[activations, ...weights.map((name) => name && rowsName(name, from))].map((name) => textField(INPUT, name).whole),
        textField(OUTPUT, outputs.at(-1)!).whole,
        textField(NAME, rowsName(textIn(NAME), from)).whole,
        ...inside.filter((field) => field.number > NAME && !isAttribute(field, "N")).map(({ whole }) => whole),
        attribute("N", numberField(3, to - from)),
      ]),
    );
  }
  const joins = [...outputs.map((name) => textField(INPUT, name).whole), textField(OUTPUT, textIn(OUTPUT)).whole];
  made.nodes.push(joined([...joins, textField(NAME, `${textIn(NAME)} joined`).whole, textField(OPERATOR, "Concat").whole, attribute("axis", LAST)]));
  return made;
}

/** -1, as the wire format has negative numbers. */
const LAST: Field = { number: 3, content: new Uint8Array(), whole: Uint8Array.from([3 << 3, ...Array<number>(9).fill(255), 1]) };

const attribute = (name: string, value: Field): Uint8Array =>
  bytesField(ATTRIBUTE, textField(1, name).whole, value.whole, numberField(20, 2).whole).whole;

const isAttribute = ({ number, content }: Field, name: string): boolean =>
  number === ATTRIBUTE && textOf(fields(content).find((field) => field.number === 1)) === name;

function integer(node: readonly Field[], name: string): number {
  const found = node.find((field) => isAttribute(field, name));
  return found ? numberOf(fields(found.content).find((field) => field.number === 3)) : 0;
}

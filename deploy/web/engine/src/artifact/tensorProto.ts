/**
 * Tensors of an ONNX file, as its bytes have them. Field numbers are those of onnx.proto: TensorProto.dims 1, name 8,
 * raw_data 9, external_data 13; StringStringEntryProto.key 1, value 2.
 */

import { bytesField, fields, joined, numberField, numbersOf, textField, textOf } from "./protobuf.js";

const DIMS = 1;
const NAME = 8;
const RAW = 9;
const EXTERNAL = 13;

/** Bytes of another file that one tensor is. */
export interface ExternalTensor {
  readonly location: string;
  readonly offset: number;
  readonly bytes: number;
}

export const nameOf = (tensor: Uint8Array): string => textOf(fields(tensor).find((field) => field.number === NAME));

/** Where a tensor lies; null where its values are in the file itself. */
export function externalOf(tensor: Uint8Array): ExternalTensor | null {
  const entries = fields(tensor).filter((field) => field.number === EXTERNAL);
  if (!entries.length) return null;
  const pairs = entries.map(({ content }) => [1, 2].map((number) => textOf(fields(content).find((field) => field.number === number))));
  const values = Object.fromEntries(pairs) as Record<string, string>;
  return { location: values.location ?? "", offset: Number(values.offset ?? 0), bytes: Number(values.length ?? 0) };
}

/** Rows `from` to `to` of a tensor of `rows`, or of what lies flat as so many; null where it can't be cut so. */
export function rowsOf(tensor: Uint8Array, rows: number, from: number, to: number): Uint8Array | null {
  const inside = fields(tensor);
  const [first = 0, ...rest] = numbersOf(inside, DIMS);
  const external = externalOf(tensor);
  const raw = inside.find((field) => field.number === RAW)?.content;
  const bytes = external?.bytes ?? raw?.length ?? 0;
  if (!bytes || first % rows || bytes % rows || (rest.length && first !== rows)) return null;
  const each = bytes / rows;
  const made = inside.filter(({ number }) => ![DIMS, NAME, RAW, EXTERNAL].includes(number)).map(({ whole }) => whole);
  made.push(textField(NAME, rowsName(nameOf(tensor), from)).whole);
  for (const size of [(first / rows) * (to - from), ...rest]) made.push(numberField(DIMS, size).whole);
  if (!external) made.push(bytesField(RAW, raw!.subarray(from * each, to * each)).whole);
  else {
    const place = { location: external.location, offset: external.offset + from * each, length: (to - from) * each };
    for (const [key, value] of Object.entries(place)) made.push(bytesField(EXTERNAL, textField(1, key).whole, textField(2, String(value)).whole).whole);
  }
  return joined(made);
}

/** What the rows from one on of something are called. */
export const rowsName = (name: string, from: number): string => `${name} from row ${from}`;

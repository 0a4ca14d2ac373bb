/** The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding). Must not know messages. */

export interface Field {
  readonly number: number;
  /** With its tag and length, and without; of a number, its varint. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

const VARINT = 0;
const BYTES = 2;
const TEXT = new TextDecoder();

/** The fields of a message; of bytes that are none, those before what can't be read. */
export function fields(bytes: Uint8Array): Field[] {
  const found: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = at;
    let key: number;
    [key, at] = readVarint(bytes, at);
    let start = at;
    const wire = key & 7;
    if (wire === VARINT) [, at] = readVarint(bytes, at);
    else if (wire === BYTES) {
      let length: number;
      [length, start] = readVarint(bytes, at);
      at = start + length;
    } else at += wire === 1 ? 8 : 4;
    if (at > bytes.length || ![VARINT, 1, BYTES, 5].includes(wire)) return found; // the caller misses what it needs
    found.push({ number: Math.floor(key / 8), whole: bytes.subarray(tag, at), content: bytes.subarray(start, at) });
  }
  return found;
}

/** The text of the first field of a number; empty where there is none. */
export const textOf = (all: readonly Field[], number: number): string => TEXT.decode(all.find((field) => field.number === number)?.content);

/** Numbers of a repeated field, packed or not, or the one of a field that is not repeated. */
export function numbersOf(all: readonly Field[], number: number): number[] {
  const found: number[] = [];
  for (const { content } of all.filter((field) => field.number === number)) {
    for (let at = 0, value: number; at < content.length; found.push(value)) [value, at] = readVarint(content, at);
  }
  return found;
}

/** A field of bytes, which may be a message: the parts, one after the other. */
export function bytesField(number: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return joined([Uint8Array.from([...varint(BigInt(number * 8 + BYTES)), ...varint(BigInt(length))]), ...parts]);
}

export const textField = (number: number, text: string): Uint8Array => bytesField(number, new TextEncoder().encode(text));

/** A whole number, in 64 bits. */
export const numberField = (number: number, value: number): Uint8Array =>
  Uint8Array.from([...varint(BigInt(number * 8 + VARINT)), ...varint(BigInt.asUintN(64, BigInt(value)))]);

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}

function readVarint(bytes: Uint8Array, from: number): [number, number] {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length && at < from + 10; at++, factor *= 128) {
    value += (bytes[at]! & 127) * factor;
    if (bytes[at]! < 128) return [value, at + 1];
  }
  return [value, bytes.length + 1];
}

const varint = (value: bigint): number[] => (value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)]);

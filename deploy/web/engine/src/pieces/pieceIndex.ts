/** The list of what a static site has of an artifact: files, the pieces that each is cut into, and what may run it. */

import { artifactError, wordsOf } from "../errors.js";

export const INDEX = "site.json";
const FORMAT = 1;

/** A file: its bytes, its sha256, and those of its pieces in their order. All but the last have `pieceBytes`. */
export interface PiecedFile {
  readonly bytes: number;
  readonly sha256: string;
  readonly pieces: readonly string[];
}

/** One way to run the model: a graph on a provider, the files that it needs, and what a device must have for it. */
export interface Way {
  readonly provider: "webgpu" | "wasm";
  readonly graph: string;
  readonly files: readonly string[];
  /** Whether the device needs `shader-f16`. */
  readonly float16: boolean;
  /** Bytes of the largest tensor, which a GPU must take as one buffer. */
  readonly largest: number;
  /** Bytes of memory that a tab takes with a conversation of `tokens`, about. */
  readonly memory: number;
  readonly tokens: number;
}

/** A graph that can't run anywhere with conversations as long as the site allows. */
export interface LeftOut {
  readonly provider: Way["provider"];
  readonly graph: string;
  readonly reason: string;
}

export interface PieceIndex {
  readonly format: number;
  readonly name: string;
  /** Changes with the model's files. */
  readonly version: string;
  /** The version of onnxruntime-web, whose scripts lie in `ort/<runtime>/`. */
  readonly runtime: string;
  readonly scripts: readonly string[];
  readonly pieceBytes: number;
  readonly files: Readonly<Record<string, PiecedFile>>;
  readonly ways: readonly Way[];
  /** Absent in sites of an earlier thinkport. */
  readonly leftOut?: readonly LeftOut[];
}

/** A piece: its hash, which names it, and its bytes. */
export interface Piece {
  readonly sha256: string;
  readonly bytes: number;
}

/** The index that a text is. Throws an artifact error that begins with the `place`. */
export function parseIndex(text: string, place: string): PieceIndex {
  let index: PieceIndex;
  try {
    index = JSON.parse(text) as PieceIndex;
  } catch (error) {
    throw artifactError(`${place} is no list of a model's files (${wordsOf(error)}): make the site again with thinkport web`);
  }
  if (index?.format !== FORMAT) {
    throw artifactError(`${place} has format ${String(index?.format)}, this page reads ${FORMAT}: close all tabs of this page and open it again`);
  }
  if (!isList(index)) throw artifactError(`${place} is no list of a model's files: make the site again with thinkport web`);
  const odd = Object.entries(index.files).find(([, file]) => !isWhole(file, index.pieceBytes));
  if (odd) throw artifactError(`${place}: ${odd[0]} has pieces that don't add up: make the site again with thinkport web`);
  return index;
}

/** The pieces of some files, each once. */
export function piecesOf(index: PieceIndex, files: readonly string[]): Piece[] {
  const found = new Map<string, Piece>();
  for (const name of files) {
    const { bytes, pieces } = index.files[name]!;
    pieces.forEach((sha256, at) => {
      found.set(sha256, { sha256, bytes: Math.min(index.pieceBytes, bytes - at * index.pieceBytes) });
    });
  }
  return [...found.values()];
}

export const bytesOf = (pieces: readonly Piece[]): number => pieces.reduce((sum, piece) => sum + piece.bytes, 0);

/** Whether names, pieces and ways are there, and every way's files are listed. */
function isList({ name, version, runtime, scripts, pieceBytes, files, ways }: Partial<PieceIndex>): boolean {
  const named = [name, version, runtime].every((one) => typeof one === "string") && pieceBytes! > 0;
  if (!named || !Array.isArray(scripts) || !Array.isArray(ways) || typeof files !== "object" || files === null) return false;
  const whole = Object.values(files).every((file) => typeof file?.bytes === "number" && Array.isArray(file.pieces));
  return whole && ways.every((way: Way) => Array.isArray(way?.files) && way.files.every((one) => Object.hasOwn(files, one)));
}

const isWhole = ({ bytes, pieces }: PiecedFile, pieceBytes: number): boolean =>
  pieces.every((piece) => /^[0-9a-f]{64}$/.test(piece)) && pieces.length === Math.ceil(bytes / pieceBytes);

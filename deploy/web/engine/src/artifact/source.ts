/** Where an artifact's files are read from. */

import { cancelledError, failure } from "../errors.js";

/** The bytes from `start` up to `end`, which is not included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface ReadOptions {
  readonly range?: ByteRange;
  readonly signal?: AbortSignal | undefined;
}

/** A file that is read without waiting, as ONNX Runtime takes weights. */
export interface SyncFile {
  readonly bytes: number;
  read(range: ByteRange): Uint8Array;
  close(): void;
}

/** A folder. Its methods throw an artifact error where a file is missing or can't be read. */
export interface ArtifactSource {
  /** What messages call it: an address or a path. */
  readonly place: string;
  read(name: string, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** What changes whenever a file is written, such as its time and size; absent where nothing says so. */
  stamp?(name: string): Promise<string>;
  /** Open a file for reading without waiting; absent where that can't be done. */
  open?(name: string): Promise<SyncFile>;
  /** Where ONNX Runtime opens a file by itself; absent where it can't. */
  path?(name: string): string;
}

/** Read something; where that fails, throws a cancelled error once the signal says so, else what `failure` makes of it. */
export async function reading<T>(what: string, advice: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal?.aborted) throw cancelledError("opening the model");
    throw failure(`${what} can't be read`, error, advice);
  }
}

/** Files of an artifact, each held against the size and sha256 that the manifest records before anything uses it. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { artifactError, cancelledError } from "../errors.js";
import { macrotask } from "../engine/macrotask.js";
import type { FileRecord, ReadManifest } from "./manifest.js";
import type { ArtifactSource, ByteRange, SyncFile } from "./source.js";
import type { Store } from "./store.js";

const PIECE = 4 << 20;

/** Looked at while files are read. */
export interface FilesProgress {
  readonly signal?: AbortSignal | undefined;
  onBytes(bytes: number): void;
}

/** Throws a cancelled error once a signal says so. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelledError("opening the model");
}

export class CheckedFiles {
  private readonly right = new Set<string>();
  private readonly open = new Map<string, SyncFile>();

  /** `always` checks hashes of files too that were found right before and have not changed since. */
  constructor(
    private readonly source: ArtifactSource,
    private readonly read: ReadManifest,
    private readonly store: Store,
    private readonly progress: FilesProgress,
    private readonly always: boolean,
  ) {}

  /** A whole file. Throws an artifact error where it is not what the manifest says. */
  async bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(this.progress.signal);
    this.record(name);
    const bytes = await this.source.read(name, { signal: this.progress.signal });
    this.checkSize(name, bytes.length);
    await this.check(name, bytes.length, async ({ start, end }) => bytes.subarray(start, end));
    return bytes;
  }

  async text(name: string): Promise<string> {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await this.bytes(name));
  }

  /**
   * A file of weights for ONNX Runtime: read where it is asked for, without ever being in memory as a whole, if the
   * source can do that.
   */
  async weights(name: string): Promise<Uint8Array> {
    if (!this.source.open) return this.bytes(name);
    this.record(name);
    // Once: where a browser knows no read-only access, an open file can't be opened again for another runtime.
    const file = this.open.get(name) ?? (await this.source.open(name));
    this.open.set(name, file);
    this.checkSize(name, file.bytes);
    await this.check(name, file.bytes, async (range) => file.read(range));
    return new FileBytes(file);
  }

  /** Check a file that ONNX Runtime opens by itself. */
  async unread(name: string): Promise<void> {
    const record = this.record(name);
    await this.check(name, record.bytes, (range) => this.source.read(name, { range, signal: this.progress.signal }));
  }

  /** Let go of files that were opened. */
  close(): void {
    for (const file of this.open.values()) file.close();
    this.open.clear();
  }

  private record(name: string): FileRecord {
    const record = this.read.manifest.files[name];
    if (!record) throw artifactError(`${this.source.place}/${name} is not among the artifact's files: export it again`);
    return record;
  }

  private checkSize(name: string, found: number): void {
    const { bytes } = this.record(name);
    if (found !== bytes) {
      throw artifactError(`${this.source.place}/${name} has ${found} bytes, expected ${bytes}: the file is damaged, copy it again`);
    }
  }

  private async check(name: string, bytes: number, piece: (range: ByteRange) => Promise<Uint8Array>): Promise<void> {
    if (this.right.has(name)) return;
    const stamp = await this.source.stamp?.(name);
    const key = `file ${this.read.fingerprint} ${this.source.place} ${name}`;
    if (this.always || !stamp || (await this.store.get(key)) !== stamp) {
      const found = await this.hash(bytes, piece);
      const { sha256 } = this.record(name);
      if (found !== sha256) {
        throw artifactError(
          `${this.source.place}/${name} does not have the recorded sha256: found ${found.slice(0, 12)}…, recorded ` +
            `${sha256.slice(0, 12)}…: the file was changed or damaged, copy it again or export the artifact again`,
        );
      }
      if (stamp) await this.store.set(key, stamp);
    } else this.progress.onBytes(bytes);
    this.right.add(name);
  }

  private async hash(bytes: number, piece: (range: ByteRange) => Promise<Uint8Array>): Promise<string> {
    const hash = sha256.create(); // Web Crypto takes a file only as a whole, which weights are too large for
    for (let start = 0; start < bytes; start += PIECE) {
      const part = await piece({ start, end: Math.min(start + PIECE, bytes) });
      hash.update(part);
      this.progress.onBytes(part.length);
      await macrotask();
      throwIfAborted(this.progress.signal);
    }
    return bytesToHex(hash.digest());
  }
}

/**
 * An array of a file's bytes that holds none of them: `subarray` reads. It is what onnxruntime-web asks of external data
 * (`mountExternalData` takes a Uint8Array, of which each tensor is a subarray).
 */
class FileBytes extends Uint8Array {
  constructor(private readonly file: SyncFile) {
    super(0);
  }

  override get byteLength(): number {
    return this.file.bytes;
  }

  override get length(): number {
    return this.file.bytes;
  }

  override subarray(start = 0, end = this.file.bytes): Uint8Array<ArrayBuffer> {
    return this.file.read({ start, end }) as Uint8Array<ArrayBuffer>;
  }
}

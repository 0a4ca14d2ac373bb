/** Lists of pieces, and where a range of a file lies in them. */

import { expect, test, vi } from "vitest";
import { fetchIndex, inRoom } from "../src/pieces/fetchPieces.js";
import { parseIndex, type PieceIndex, piecesOf } from "../src/pieces/pieceIndex.js";
import { partsOf, PieceSource } from "../src/pieces/pieceSource.js";
import { PieceStore } from "../src/pieces/pieceStore.js";

const hash = (digit: string): string => digit.repeat(64);
const weights = { bytes: 25, sha256: hash("f"), pieces: [hash("a"), hash("b"), hash("c")] };
const index = {
  format: 1, name: "nano", version: "1", runtime: "1.30.0", scripts: [], pieceBytes: 10,
  files: { "weights.bin": weights, "copy.bin": { ...weights, bytes: 10, pieces: [hash("a")] } }, ways: [],
} as PieceIndex;

test.each([
  [0, 25, [[0, 0, 10, 0], [1, 0, 10, 10], [2, 0, 5, 20]]],
  [9, 11, [[0, 9, 10, 0], [1, 0, 1, 1]]],
  [10, 20, [[1, 0, 10, 0]]],
  [12, 13, [[1, 2, 3, 0]]],
  [20, 25, [[2, 0, 5, 0]]],
  [7, 7, []],
])("bytes %i to %i are parts of pieces", (start, end, parts) => {
  expect([...partsOf(weights, 10, { start, end })].map(({ piece, from, to, at }) => [piece, from, to, at])).toEqual(parts);
});

test("a range behind the end is a fault", () => {
  expect(() => [...partsOf(weights, 10, { start: 20, end: 41 })]).toThrow(RangeError);
});

test("a piece that a file has twice is opened once, and closed", async () => {
  const open = new Set<string>();
  const store = {
    folder: "site",
    index: async () => ({ ...index, files: { "zeros.bin": { ...weights, pieces: [hash("a"), hash("b"), hash("a")] } } }),
    open: async (sha256: string) => {
      if (open.has(sha256)) throw new Error(`${sha256} is open already`); // as browsers without read-only access have it
      open.add(sha256);
      const read = (bytes: Uint8Array, { at }: { at: number }): number => bytes.fill(sha256.charCodeAt(0) + at).length;
      return { read, close: () => open.delete(sha256) };
    },
  };
  const file = await new PieceSource(store as never).open("zeros.bin");
  expect(String.fromCharCode(...(file.read({ start: 9, end: 21 }) as Uint8Array))).toBe("jbbbbbbbbbba");
  file.close();
  expect(open.size).toBe(0);
});

test("a piece that two files share is one piece, and the last one is shorter", () => {
  const found = piecesOf(index, ["copy.bin", "weights.bin"]).map(({ sha256, bytes }) => [sha256[0], bytes]);
  expect(found).toEqual([["a", 10], ["b", 10], ["c", 5]]);
});

test("a host that never answers, or breaks off in the middle, is one that can't be reached", async () => {
  const never = (_: string, { signal }: RequestInit) => new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  const broken = async () => new Response(new ReadableStream({ start: (body) => body.error(new TypeError("network error")) }));
  for (const fetch of [never, broken]) {
    vi.stubGlobal("fetch", fetch);
    expect(await fetchIndex("https://host.test/", 20)).toBeNull();
  }
  vi.unstubAllGlobals();
});

test("what doesn't fit on the device, or can't be written, says what to do", async () => {
  const failing = (error: Error) => inRoom(() => Promise.reject(error), 1_200_000);
  await expect(failing(new DOMException("10 of 20 bytes were written", "QuotaExceededError"))).rejects.toThrow(/no room for 2 MB more: free some space/);
  await expect(failing(new Error("the disk is damaged"))).rejects.toThrow(/the model can't be kept \(the disk is damaged\): free some space/);
  await expect(failing(new DOMException("Backend does not support this operation", "NotSupportedError"))).rejects.toThrow(/can't write files for a page \(Backend.*\): open this page in another one/);
});

test("a list that can't be used is refused with what is wrong", () => {
  const read = (changed: object): unknown => parseIndex(JSON.stringify({ ...index, ...changed }), "site.json");
  expect(read({})).toEqual(index);
  expect(() => parseIndex("<html>", "site.json")).toThrow(/site\.json is no list of a model's files/);
  const way = { provider: "wasm", files: ["gone.onnx"] };
  const odd = [{ files: null }, { files: { a: null } }, { ways: undefined }, { ways: [null] }, { ways: [way] }, { scripts: 3 }, { pieceBytes: 0 }, { name: 1 }];
  for (const changed of odd) expect(() => read(changed)).toThrow(/site\.json is no list of a model's files: make the site again/);
  expect(() => read({ format: 2 })).toThrow(/has format 2, this page reads 1: close all tabs/);
  expect(() => read({ files: { "weights.bin": { ...weights, bytes: 31 } } })).toThrow(/weights\.bin has pieces that don't add up/);
  expect(() => read({ files: { "weights.bin": { ...weights, pieces: ["../x", hash("b"), hash("c")] } } })).toThrow(/don't add up/);
});

/**
 * A folder of the browser's file system; the bytes that `room` is left for are written, then its worker is ended. Files move
 * as Safari has it: with a folder and a name, in old ones (not `replaces`) in place of no other file.
 */
class FakeFolder {
  readonly files = new Map<string, Uint8Array>();
  room = Infinity;

  constructor(readonly replaces = true) {}

  getDirectoryHandle = async (name: string): Promise<FakeFolder> => (name === "pieces" ? new FakeFolder() : this);
  removeEntry = async (name: string): Promise<void> => void this.files.delete(name);
  keys = async function* (this: FakeFolder): AsyncGenerator<string> {
    yield* this.files.keys();
  };

  async getFileHandle(name: string, { create = false } = {}): Promise<object> {
    if (!create && !this.files.has(name)) throw new DOMException(name, "NotFoundError");
    const folder = this;
    return {
      getFile: async () => new Blob([folder.files.get(name) as Uint8Array<ArrayBuffer>]),
      async move(into: FakeFolder, to: string) {
        if (into !== folder) throw new TypeError("Not enough arguments");
        if (!folder.replaces && folder.files.has(to)) throw new DOMException(to, "UnknownError");
        folder.files.set(to, folder.files.get(name)!);
        folder.files.delete(name);
      },
      createSyncAccessHandle: async () => ({
        truncate: () => folder.files.set(name, new Uint8Array()),
        write(bytes: Uint8Array) {
          folder.files.set(name, bytes.slice(0, folder.room));
          if (bytes.length > folder.room) throw new Error("the worker was ended");
          return bytes.length;
        },
        flush: () => undefined,
        close: () => undefined,
      }),
    };
  }
}

test.each([true, false])("a list that is not written to its end leaves the one before in its place (files replace others: %s)", async (replaces) => {
  const folder = new FakeFolder(replaces);
  vi.stubGlobal("navigator", { storage: { getDirectory: async () => folder } });
  const store = new PieceStore("site");
  await store.keep(index, []);
  folder.room = 10;
  await expect(store.keep({ ...index, version: "2" }, [])).rejects.toThrow("the worker was ended");
  expect((await store.index())?.version).toBe("1");
  folder.room = Infinity;
  await store.keep({ ...index, version: "2" }, []);
  expect((await store.index())?.version).toBe("2");
  vi.unstubAllGlobals();
});

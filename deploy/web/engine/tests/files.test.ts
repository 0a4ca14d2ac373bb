/** Reading files: the wire format of a graph, manifests that are none. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { CheckedFiles } from "../src/artifact/checkedFiles.js";
import { parseManifest } from "../src/artifact/manifest.js";
import { OnnxFile } from "../src/artifact/onnxFile.js";
import type { ArtifactSource } from "../src/artifact/source.js";
import { MemoryStore } from "../src/artifact/store.js";
import { FolderSource } from "../src/node/folders.js";
import { openModel } from "../src/openModel.js";
import { HttpSource } from "../src/web/sources.js";
import { manifest } from "./nano.js";

const length = ({ length: bytes }: number[]): number[] => (bytes < 128 ? [bytes] : [(bytes % 128) | 128, bytes >> 7]);
const field = (number: number, content: number[]): number[] => [(number << 3) | 2, ...length(content), ...content];
const text = (value: string): number[] => [...new TextEncoder().encode(value)];
const pair = (key: string, value: string): number[] => field(13, [...field(1, text(key)), ...field(2, text(value))]);

test("a graph's external tensors are found, and an optional input is made one that must be fed", () => {
  const keep = field(5, [...field(8, text("logits_to_keep")), ...field(9, [1, 0])]);
  const weights = field(5, [...field(8, text("w")), ...pair("location", "weights.bin"), ...pair("offset", "64"), ...pair("length", "96")]);
  const name = field(2, text("g"));
  const file = new OnnxFile(Uint8Array.from([8, 10, ...field(7, [...name, ...keep, ...weights]), ...field(8, [16, 21])]), "g.onnx");
  expect(file.external).toEqual([{ location: "weights.bin", offset: 64, bytes: 96 }]);
  expect([file.largest, file.locations]).toEqual([96, ["weights.bin"]]);
  const changed = file.withRequired("logits_to_keep");
  expect([...changed.bytes]).toEqual([8, 10, ...field(7, [...name, ...weights]), ...field(8, [16, 21])]);
  expect(file.withRequired("other").bytes).toEqual(file.bytes);
});

test("a wide product of quantized weights becomes products of its rows, which lie where they lay", () => {
  const integer = (name: string, value: number): number[] => field(5, [...field(1, text(name)), 3 << 3, value, 20 << 3, 2]);
  const product = (more: number[]): number[] =>
    field(1, [...["x", "w", "s"].flatMap((name) => field(1, text(name))), ...more, ...field(2, text("y")), ...field(4, text("MatMulNBits")), ...integer("K", 32), ...integer("N", 5)]);
  const inside = (...dims: number[]): number[] => dims.flatMap((size) => [1 << 3, size]);
  const w = field(5, [...inside(5, 1, 16), ...field(8, text("w")), ...pair("location", "weights.bin"), ...pair("offset", "64"), ...pair("length", "80")]);
  const s = field(5, [...inside(5), ...field(8, text("s")), ...field(9, [1, 2, 3, 4, 5])]);
  const wide = (more: number[]): OnnxFile => new OnnxFile(Uint8Array.from(field(7, [...product(more), ...w, ...s])), "g.onnx");
  const narrow = wide([]).withNarrowProducts(2 * 32);
  expect(narrow.external.map(({ offset, bytes }) => [offset, bytes])).toEqual([[64, 32], [96, 32], [128, 16], [64, 80]]);
  expect(new TextDecoder().decode(narrow.bytes)).toContain("Concat");
  expect(wide([]).withNarrowProducts(5 * 32).bytes).toEqual(wide([]).bytes);
  const ordered = wide([...field(1, []), ...field(1, text("order"))]);
  expect(ordered.withNarrowProducts(64).bytes).toEqual(ordered.bytes);
});

test("bytes that are no graph are refused", () => {
  expect(() => new OnnxFile(new Uint8Array(40).fill(255), "g.onnx")).toThrow(/g\.onnx is no ONNX file/);
});

test("a manifest that can't be used is refused with what is wrong", () => {
  const read = (changed: object): unknown => parseManifest(JSON.stringify({ ...manifest, ...changed }), "here");
  expect(read({})).toMatchObject({ name: manifest.name });
  expect(() => parseManifest("{", "here")).toThrow(/here\/thinkport\.json is not JSON/);
  expect(() => read({ schema_version: 2 })).toThrow(/schema version 2, this engine reads up to 1/);
  expect(() => read({ model: {} })).toThrow(/model is missing or malformed/);
  expect(() => read({ certificate: { goldens: "goldens.json" } })).toThrow(/certificate is missing or malformed/);
  expect(() => read({ files: { ...manifest.files, "../x": { bytes: 1, sha256: "0".repeat(64) } } })).toThrow(/leads out/);
  expect(() => read({ tokenizer: "other.json" })).toThrow(/other\.json is not among/);
});

test("weights are opened once, and nothing is opened that the manifest does not name", async () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const opened: string[] = [];
  const file = { bytes: bytes.length, read: ({ start, end }: { start: number; end: number }) => bytes.subarray(start, end), close: () => opened.push("closed") };
  const source = { place: "here", open: async (name: string) => (opened.push(name), file) } as unknown as ArtifactSource;
  const record = { bytes: 4, sha256: createHash("sha256").update(bytes).digest("hex") };
  const read = { manifest: { ...manifest, files: { "weights.bin": record } }, fingerprint: "f" };
  const files = new CheckedFiles(source, read, new MemoryStore(), { onBytes: () => undefined }, false);
  for (let runtime = 0; runtime < 2; runtime++) expect((await files.weights("weights.bin")).subarray(1, 3)).toEqual(Uint8Array.of(2, 3));
  await expect(files.weights("../other.bin")).rejects.toMatchObject({ code: "artifact" });
  files.close();
  expect(opened).toEqual(["weights.bin", "closed"]);
});

test("a file that finds no memory is not called damaged, and one that is missing is", async () => {
  const reading = (error: Error): Promise<unknown> => {
    vi.stubGlobal("fetch", () => Promise.reject(error));
    return new HttpSource("http://127.0.0.1/nano/").read("weights.bin");
  };
  await expect(reading(new RangeError("Array buffer allocation failed"))).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringMatching(/weights\.bin can't be read, since there is no memory left/) as string,
  });
  await expect(reading(new TypeError("Failed to fetch"))).rejects.toMatchObject({ code: "artifact" });
  vi.unstubAllGlobals();
});

test("a file that was read when the caller gave up is not called damaged", async () => {
  const reading = new FolderSource(import.meta.dirname).read("files.test.ts", { signal: AbortSignal.abort() });
  await expect(reading).rejects.toMatchObject({ code: "cancelled" });
});

test("a model that computes wrongly in every way is at fault itself, one that lacks something in any way is not", async () => {
  const graphs = ["one.onnx", "two.onnx"];
  const contents: Record<string, Uint8Array<ArrayBuffer>> = {
    "tokenizer.json": Uint8Array.from(readFileSync(join(import.meta.dirname, "../../../../artifacts/checkpoints/nano-qwen3/tokenizer.json"))),
    "chat_template.jinja": new TextEncoder().encode("{{ messages[0].content }}"),
  };
  for (const name of graphs) contents[name] = Uint8Array.of(0x3a, 0); // with nothing in it
  const files = Object.entries(contents).map(([name, bytes]) => [name, { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }]);
  const made = { ...manifest, graphs: graphs.map((file) => ({ ...manifest.graphs[0], file })), certificate: null, files: Object.fromEntries(files) as never };
  const source: ArtifactSource = { place: "here", read: async (name) => contents[name] ?? new TextEncoder().encode(JSON.stringify(made)) };
  const runtime = { provider: "cpu", threads: null, describe: async () => "a device", suited: (all: unknown) => all, refusal: () => "no room" };
  const opened = (wrong: RegExp): Promise<unknown> => {
    const store = { get: async (key: string) => (wrong.test(key) ? '{"score":null,"fault":"its logits are none"}' : null), set: async () => undefined };
    return openModel({ source, runtimes: [runtime as never], store });
  };
  await expect(opened(/^goldens/)).rejects.toMatchObject({ code: "artifact", message: expect.stringMatching(/nothing in here runs here \(one\.onnx: cpu: its logits/) as string });
  await expect(opened(/^goldens .* one\.onnx/)).rejects.toMatchObject({ code: "unavailable", message: expect.stringMatching(/two\.onnx: cpu: no room/) as string });
});

import type { Way } from "@thinkport/engine/pieces";
import { expect, it } from "vitest";
import { choose, megabytes, slowness } from "../src/site/choice";
import type { Device } from "../src/site/device";

const GB = 2 ** 30;
const way = (provider: Way["provider"], graph: string, changed: Partial<Way> = {}): Way => ({
  provider, graph, files: [], float16: false, largest: 100e6, memory: GB, tokens: 2048, ...changed,
});
const WAYS = [way("webgpu", "half", { float16: true }), way("webgpu", "single"), way("wasm", "cpu", { memory: 1.5 * GB })];
const device = (changed: Partial<Device> = {}): Device => ({
  lacking: null, memory: 8 * GB, threads: 4, isolated: true, gpu: { float16: true, buffer: 128e6 }, room: null, ...changed,
});
const graphs = (changed: Partial<Device>): string[] => choose({ ways: WAYS }, device(changed)).ways.map(({ graph }) => graph);
const reasons = (changed: Partial<Device>): string => choose({ ways: WAYS }, device(changed)).refusals.map(({ graph, reason }) => `${graph}: ${reason}`).join("; ");

it("takes what the GPU has the type and the buffers for, then the processor", () => {
  expect(graphs({})).toEqual(["half", "single", "cpu"]);
  expect(graphs({ gpu: { float16: false, buffer: 128e6 } })).toEqual(["single", "cpu"]);
  expect(graphs({ gpu: { float16: true, buffer: 99e6 } })).toEqual(["cpu"]);
  expect(reasons({ gpu: { float16: false, buffer: 99e6 } })).toMatch(/half: this GPU has no float16; single: a tensor has 100 MB, and this GPU takes 99 MB/);
  expect(graphs({ gpu: null })).toEqual(["cpu"]);
});

it("leaves out what a device that tells of little memory has no room for", () => {
  expect(graphs({ memory: 2 * GB })).toEqual(["half", "single"]);
  expect(graphs({ memory: GB })).toEqual([]);
  expect(reasons({ memory: 2 * GB })).toMatch(/cpu: it takes 1\.6 GB of memory, and this device has 2\.1 GB, of which a page may have about 1\.3 GB/);
  expect(graphs({ memory: null })).toEqual(["half", "single", "cpu"]);
});

it("tells of a graph that the site's length of conversations leaves no room for", () => {
  const leftOut = [{ provider: "wasm", graph: "cpu", reason: "it takes 5.1 GB" }] as const;
  const found = choose({ ways: WAYS.slice(0, 1), leftOut }, device({ gpu: null }));
  expect(found.ways).toEqual([]);
  expect(found.refusals.map(({ graph, reason }) => `${graph}: ${reason}`)).toEqual(["cpu: it takes 5.1 GB", "half: this browser gives no GPU by WebGPU; Chrome and Edge do on most devices"]);
});

it("warns of a large model's speed in WebAssembly", () => {
  expect(slowness(WAYS[2]!, 13e6)).toBeNull();
  const told = [90e6, 250e6, 390e6, 2.4e9, 3.1e9].map((bytes) => slowness(WAYS[2]!, bytes));
  expect(told).toEqual(["0.4 seconds", "1 second", "2 seconds", "10 seconds", "10 seconds"]);
  expect(slowness(WAYS[1]!, 390e6)).toBeNull();
});

it("writes sizes as people do", () => {
  expect([1_234_567, 9_960_000, 515_200_000, 5_152_000_000].map(megabytes)).toEqual(["1.2 MB", "10 MB", "515 MB", "5,152 MB"]);
});

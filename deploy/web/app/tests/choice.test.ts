import type { Way } from "@thinkport/engine/pieces";
import { expect, it } from "vitest";
import { choose, megabytes } from "../src/site/choice";
import type { Device } from "../src/site/device";

const GB = 2 ** 30;
const way = (provider: Way["provider"], graph: string, changed: Partial<Way> = {}): Way => ({
  provider, graph, files: [], float16: false, largest: 100e6, memory: GB, tokens: 2048, ...changed,
});
const WAYS = [way("webgpu", "half", { float16: true }), way("webgpu", "single"), way("wasm", "cpu", { memory: 1.5 * GB })];
const device = (changed: Partial<Device> = {}): Device => ({
  lacking: null, memory: 8 * GB, threads: 4, isolated: true, gpu: { float16: true, buffer: 128e6 }, room: null, ...changed,
});
const graphs = (changed: Partial<Device>): string[] => choose(WAYS, device(changed)).ways.map(({ graph }) => graph);
const reasons = (changed: Partial<Device>): string => choose(WAYS, device(changed)).refusals.map(({ way: { graph }, reason }) => `${graph}: ${reason}`).join("; ");

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

it("writes sizes as people do", () => {
  expect([1_234_567, 9_960_000, 515_200_000, 5_152_000_000].map(megabytes)).toEqual(["1.2 MB", "10 MB", "515 MB", "5,152 MB"]);
});

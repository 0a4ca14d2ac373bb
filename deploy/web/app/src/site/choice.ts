/** Which ways of running a model suit a device, and why others don't. Knows numbers; must not know the browser. */

import type { LeftOut, PieceIndex, Way } from "@thinkport/engine/pieces";
import type { Device } from "./device";

export interface Choice {
  /** What can run here, in the order in which it is tried. */
  readonly ways: readonly Way[];
  readonly refusals: readonly LeftOut[];
}

// What a system may leave to one tab: an assumption, for want of devices to try. Browsers tell at most 8 GB.
const SHARE = 0.6;
// Seconds of a step in WebAssembly for each byte that is downloaded: 1.5 s of a 0.6B in 380 MB, on one thread of a
// Xeon (python -m tests.web.measure_steps). All weights are written in float32 each time.
const STEP = 4e-9;
const SLOW = 0.3; // seconds a step from which on it is said

export function choose({ ways, leftOut = [] }: Pick<PieceIndex, "ways" | "leftOut">, device: Device): Choice {
  const refusals = [...leftOut];
  const fit = ways.filter((way) => {
    const reason = refusalOf(way, device);
    if (reason !== null) refusals.push({ provider: way.provider, graph: way.graph, reason });
    return reason === null;
  });
  return { ways: fit, refusals };
}

/** About how long a token takes in WebAssembly, where that is slow; null elsewhere. `bytes` are downloaded. */
export function slowness({ provider }: Way, bytes: number): string | null {
  const seconds = STEP * bytes;
  if (provider === "webgpu" || seconds < SLOW) return null;
  const rounded = Number(seconds.toPrecision(1));
  return `${rounded} second${rounded === 1 ? "" : "s"}`;
}

function refusalOf({ provider, float16, largest, memory }: Way, device: Device): string | null {
  if (provider === "webgpu") {
    if (!device.gpu) return "this browser gives no GPU by WebGPU; Chrome and Edge do on most devices";
    if (float16 && !device.gpu.float16) return "this GPU has no float16";
    if (largest > device.gpu.buffer) return `a tensor has ${megabytes(largest)}, and this GPU takes ${megabytes(device.gpu.buffer)} at most`;
  }
  if (device.memory !== null && memory > SHARE * device.memory) {
    return `it takes ${gigabytes(memory)} of memory, and this device has ${gigabytes(device.memory)}, of which a page may have about ${gigabytes(SHARE * device.memory)}`;
  }
  return null;
}

export const megabytes = (bytes: number): string => `${bytes < 9.95e6 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6).toLocaleString("en")} MB`;
export const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** What this browser and device can do, as far as they say. Knows the browser's interfaces; must not know the model. */

import { type GpuLimits, limitsOf } from "@thinkport/engine/web/gpuRuntime";

export interface Device {
  /** Why nothing runs here at all; null where it can. */
  readonly lacking: string | null;
  /** Bytes of memory, which browsers round and bound; null where they don't say. */
  readonly memory: number | null;
  /** Threads that WebAssembly may use: 1 where the page is not isolated from other origins. */
  readonly threads: number;
  readonly isolated: boolean;
  /** The GPU's limits; null where there is none. */
  readonly gpu: GpuLimits | null;
  /** Bytes that may still be kept here; null where that isn't told. */
  readonly room: number | null;
}

const MOST_THREADS = 4; // as the engine takes

export async function lookAtDevice(): Promise<Device> {
  const isolated = globalThis.crossOriginIsolated === true;
  const memory = (navigator as { deviceMemory?: number }).deviceMemory;
  return {
    lacking: lacking(),
    memory: memory === undefined ? null : memory * 2 ** 30,
    threads: isolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1,
    isolated,
    gpu: await gpu(),
    room: await room(),
  };
}

function lacking(): string | null {
  if (!isSecureContext) return `Browsers allow this over https or on the same machine only, and this page came from ${location.origin}. Open it by https.`;
  if (typeof WebAssembly === "undefined") return "This browser has no WebAssembly. Use another one, or switch it on.";
  if (!navigator.storage?.getDirectory || !navigator.locks) return "This browser is too old to keep a model. Chrome 121, Edge 121, Firefox 111 and Safari 17 are new enough.";
  return null;
}

async function gpu(): Promise<Device["gpu"]> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" }).catch(() => null);
  return adapter ? limitsOf(adapter) : null;
}

async function room(): Promise<number | null> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  return quota === undefined || usage === undefined ? null : Math.max(0, quota - usage);
}

/** What this browser and device can do, as far as they say. Knows the browser's interfaces; must not know the model. */

import { type GpuLimits, limitsOf } from "@thinkport/engine/web/gpuRuntime";
import { mostThreads } from "@thinkport/engine/web/wasmRuntime";

export interface Device {
  /** Why nothing runs here at all; null where it can. */
  readonly lacking: string | null;
  /** Bytes of memory, which browsers round and bound; null where they don't say. */
  readonly memory: number | null;
  /** Threads that WebAssembly uses. */
  readonly threads: number;
  readonly isolated: boolean;
  /** The GPU's limits; null where there is none. */
  readonly gpu: GpuLimits | null;
  /** Bytes that may still be kept here; null where that isn't told. */
  readonly room: number | null;
}

export async function lookAtDevice(): Promise<Device> {
  const memory = (navigator as { deviceMemory?: number }).deviceMemory;
  return {
    lacking: lacking(),
    memory: memory === undefined ? null : memory * 2 ** 30,
    threads: mostThreads(),
    isolated: globalThis.crossOriginIsolated === true,
    gpu: await gpu(),
    room: await room(),
  };
}

function lacking(): string | null {
  if (!isSecureContext) return `Browsers allow this over https or on the same machine only, and this page came from ${location.origin}. Open it by https.`;
  if (typeof WebAssembly === "undefined") return "This browser has no WebAssembly. Use another one, or switch it on.";
  if (!navigator.storage?.getDirectory || !navigator.locks) return "This browser gives pages no place to keep a model in (OPFS): it is too old, or built without. Chrome 123, Edge 123, Firefox 121 and Safari 17.5 are new enough; browsers over WebKitGTK have none.";
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

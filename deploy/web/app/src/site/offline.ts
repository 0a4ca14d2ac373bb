/** The service worker, and what of onnxruntime-web is kept for visits without a network. */

import type { PieceIndex } from "@thinkport/engine/pieces";
import { remember, remembered } from "../transport/tab_memory";

const RELOADED = "thinkport reloaded for threads";

/** Have the page's files kept, where the browser does that; once they are, `onKept` is called. */
export function keepPage(onKept: () => void): void {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  void serviceWorker
    .register(new URL("sw.js", document.baseURI))
    .then(() => serviceWorker.ready)
    .then(() => (serviceWorker.controller ? onKept() : serviceWorker.addEventListener("controllerchange", onKept, { once: true })))
    .catch(() => undefined); // a private window: the page works while there is a network
}

/**
 * Load the page again, once, where that brings threads: the service worker adds the headers that the host does not send.
 * Returns whether it does.
 */
export function reloadForThreads(): boolean {
  if (globalThis.crossOriginIsolated || !navigator.serviceWorker?.controller || remembered(RELOADED)) return false;
  if (!remember(RELOADED, "yes")) return false; // it would be loaded again and again
  location.reload();
  return true;
}

/** The folder of onnxruntime-web's scripts. */
export const scriptsOf = (index: PieceIndex, base: string): string => new URL(`ort/${index.runtime}/`, base).href;

const cacheOf = (base: string): string => `thinkport ort ${base}`;

/** Keep the scripts that an index names; those that are kept are not fetched again. */
export async function keepScripts(index: PieceIndex, base: string): Promise<void> {
  const cache = await caches.open(cacheOf(base));
  const urls = index.scripts.map((name) => new URL(name, scriptsOf(index, base)).href);
  const missing = await Promise.all(urls.map(async (url) => ((await cache.match(url)) ? [] : [url])));
  await cache.addAll(missing.flat());
}

export const dropScripts = (base: string): Promise<boolean> => caches.delete(cacheOf(base));

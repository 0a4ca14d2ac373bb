/** The service worker, and what of onnxruntime-web is kept for visits without a network. */

import type { PieceIndex } from "@thinkport/engine/pieces";
import { remember, remembered } from "../transport/tab_memory";

const RELOADED = "thinkport reloaded for threads";

const PATIENCE = 5000; // ms that a worker has for an answer

/** Have the page's files kept, where the browser does that; `onKept` is called once they are, `onNewer` once newer ones are too. */
export function keepPage(onKept: () => void, onNewer: () => void): void {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  void serviceWorker
    .register(new URL("sw.js", document.baseURI))
    .then((registration) => lookForNewer(registration, onNewer))
    .then(() => serviceWorker.ready)
    .then(() => (serviceWorker.controller ? onKept() : serviceWorker.addEventListener("controllerchange", onKept, { once: true })))
    .catch(() => undefined); // a private window: the page works while there is a network
}

/** Call back once a newer page is kept. Its worker waits until no tab shows the old one; a reload is no end of a tab. */
function lookForNewer(registration: ServiceWorkerRegistration, onNewer: () => void): void {
  const look = (): void => void (registration.waiting && registration.active && onNewer());
  const follow = (): void => registration.installing?.addEventListener("statechange", look);
  look();
  follow();
  registration.addEventListener("updatefound", follow);
}

/** Load the newer page. Returns false where another tab shows the old one, whose files go with it. */
export async function takeNewPage(): Promise<boolean> {
  const { serviceWorker } = navigator;
  const waiting = (await serviceWorker.getRegistration())?.waiting;
  const changed = new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  if (waiting) {
    if (!(await isOnlyTab(waiting))) return false;
    await changed;
  }
  location.reload();
  return true;
}

function isOnlyTab(waiting: ServiceWorker): Promise<boolean> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }: MessageEvent<boolean>) => resolve(data);
    setTimeout(() => resolve(false), PATIENCE);
    waiting.postMessage("use", [port2]);
  });
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

/**
 * The service worker of a static site: keeps the page's files for the next visit, with or without a network, and adds the
 * headers that threads need where a host sends none. The model is none of its business: pieces are kept by the page.
 * `thinkport web` writes the first line, which sets SHELL.
 */

const worker = self as unknown as ServiceWorkerGlobalScope & { readonly SHELL: { readonly version: string; readonly files: readonly string[] } };
const { SHELL } = worker;
const ROOT = worker.registration.scope;
const SHELLS = `thinkport shell ${ROOT} `;
const KEPT = `${SHELLS}${SHELL.version}`;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("message", (event) => {
  if (event.data === "use") event.waitUntil(use(event.ports[0]!));
});
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && isPage(request)) event.respondWith(answer(request));
});

/** Keep the files of this version. An older version stays until no tab shows it. */
async function install(): Promise<void> {
  const cache = await caches.open(KEPT);
  await cache.addAll(SHELL.files.map((file) => new Request(new URL(file, ROOT), { cache: "no-cache" })));
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(SHELLS) && name !== KEPT) await caches.delete(name);
  }
  await worker.clients.claim();
}

/** A tab asks for this version while the older one is shown: it comes if no other tab would miss the older one's files. */
async function use(port: MessagePort): Promise<void> {
  const open = await worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  const alone = open.filter(({ url }) => isPage({ url, mode: "navigate" })).length <= 1;
  port.postMessage(alone);
  if (alone) await worker.skipWaiting();
}

/**
 * The page, its files, and scripts of onnxruntime-web: neither the list of the model's files nor its pieces, nor what else
 * lies in the folder, such as another site.
 */
function isPage({ url, mode }: Pick<Request, "url" | "mode">): boolean {
  const { href, pathname } = new URL(url);
  if (!href.startsWith(ROOT)) return false;
  const inside = pathname.slice(new URL(ROOT).pathname.length);
  if (inside === "" || inside === "index.html") return true;
  return mode !== "navigate" && (/^(assets|ort)\//.test(inside) || SHELL.files.includes(inside));
}

async function answer(request: Request): Promise<Response> {
  const asked = request.mode === "navigate" ? new URL("./", ROOT).href : request;
  const found = (await kept(asked)) ?? (await fetch(request));
  if (found.type === "opaqueredirect" || found.status === 0) return found;
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  if (found.ok && new URL(request.url).pathname.endsWith(".mjs")) headers.set("Content-Type", "text/javascript"); // which not every host knows
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}

/** What is kept of a file; nothing where the browser denies its store, so that the host answers. */
const kept = (asked: Request | string): Promise<Response | undefined> => caches.match(asked, { ignoreSearch: true }).catch(() => undefined);

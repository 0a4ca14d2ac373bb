import { beforeAll, expect, it } from "vitest";

const ROOT = "https://host.test/model/";
const open: { url: string }[] = [];
let skipped = 0;
const listeners: Record<string, (event: object) => void> = {};

beforeAll(async () => {
  const self = {
    SHELL: { version: "1", files: ["assets/site-1.js", "icon.svg", "./", "manifest.webmanifest"] },
    registration: { scope: ROOT },
    clients: { matchAll: async () => open },
    skipWaiting: async () => void skipped++,
    addEventListener: (type: string, listener: (event: object) => void) => (listeners[type] = listener),
  };
  Object.assign(globalThis, { self, caches: { match: async () => undefined }, fetch: async () => new Response("of the host") });
  const script = "../src/site/sw.ts"; // which is no module
  await import(script);
});

function answered(url: string, mode: string, method = "GET"): Promise<Response> | null {
  let answer: Promise<Response> | null = null;
  listeners.fetch!({ request: { method, url, mode }, respondWith: (given: Promise<Response>) => (answer = given) });
  return answer;
}

it.each([
  [ROOT, "navigate"],
  [`${ROOT}?window`, "navigate"],
  [`${ROOT}index.html`, "navigate"],
  [`${ROOT}assets/engine_worker-1.js`, "same-origin"],
  [`${ROOT}ort/1.30.0/ort.wasm.min.mjs`, "cors"],
  [`${ROOT}icon.svg`, "no-cors"],
])("%s is answered with the headers that threads need", async (url, mode) => {
  const { headers } = (await answered(url, mode))!;
  expect([headers.get("cross-origin-opener-policy"), headers.get("cross-origin-embedder-policy")]).toEqual(["same-origin", "require-corp"]);
});

it("scripts are JavaScript, whatever the host calls them", async () => {
  const told = async (name: string) => (await answered(`${ROOT}ort/1.30.0/${name}`, "cors"))!.headers.get("content-type");
  expect(await told("ort.wasm.min.mjs")).toBe("text/javascript");
  expect(await told("other.txt")).toBe("text/plain;charset=UTF-8");
});

it("the host answers where the browser denies what is kept", async () => {
  const { match } = caches;
  Object.assign(caches, { match: () => Promise.reject(new DOMException("denied", "SecurityError")) });
  expect(await (await answered(ROOT, "navigate"))!.text()).toBe("of the host");
  Object.assign(caches, { match });
});

it.each([
  ["https://host.test/", "navigate"],
  [`${ROOT}other/`, "navigate"],
  [`${ROOT}other/assets/site-2.js`, "cors"],
  [`${ROOT}model-LICENSE`, "navigate"],
  [`${ROOT}site.json`, "cors"],
  [`${ROOT}pieces/0.bin`, "cors"],
])("%s is left to the host", (url, mode) => {
  expect(answered(url, mode)).toBeNull();
});

it("only reads are answered", () => {
  expect(answered(ROOT, "cors", "POST")).toBeNull();
});

it("a newer version comes at once for the only tab of the page, whatever else of the host is open", async () => {
  const asked = async (...urls: string[]): Promise<[unknown, number]> => {
    open.splice(0, Infinity, ...urls.map((url) => ({ url })));
    skipped = 0;
    let told: unknown = null;
    let work: Promise<unknown> = Promise.resolve();
    listeners.message!({ data: "use", ports: [{ postMessage: (data: unknown) => (told = data) }], waitUntil: (given: Promise<unknown>) => (work = given) });
    await work;
    return [told, skipped];
  };
  expect(await asked(`${ROOT}?a`, `${ROOT}other/`, "https://host.test/")).toEqual([true, 1]);
  expect(await asked(ROOT, `${ROOT}index.html#b`)).toEqual([false, 0]);
});

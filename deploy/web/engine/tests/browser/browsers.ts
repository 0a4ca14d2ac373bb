/**
 * Browsers with the test page: a server of files with the headers that threads need, and Chromium or Firefox without a
 * screen. Chromium's WebGPU runs on SwiftShader, which has no shader-f16; Debian's Firefox has none.
 */

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, firefox, type Page } from "playwright-core";
import { build } from "vite";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json",
};
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
const QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-sync", "--disable-component-update"];

const first = (...names: string[]): string | undefined => names.map((name) => `/usr/bin/${name}`).find((path) => existsSync(path));
const CHROMIUM = first("chromium", "chromium-browser", "google-chrome");
const FIREFOX = first("firefox-esr", "firefox");

/** The folder of onnxruntime-web's scripts. */
export const ORT = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));

/** Build the test page of a folder, the engine's own unless said otherwise. */
export async function buildPage(outDir: string, root = fileURLToPath(new URL(".", import.meta.url))): Promise<void> {
  await build({ root, configFile: join(root, "vite.config.ts"), logLevel: "error", build: { outDir, emptyOutDir: true } });
}

/** A server of folders by the first part of the address. */
export function serveFolders(folders: Readonly<Record<string, string>>): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const [, first = "", ...rest] = new URL(request.url!, "http://x").pathname.split("/");
    const path = normalize(join(folders[first] ?? "/nowhere", decodeURIComponent(rest.join("/"))));
    if (!existsSync(path) || !statSync(path).isFile()) return void response.writeHead(404).end();
    response.writeHead(200, {
      "Content-Type": TYPES[extname(path)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    createReadStream(path).pipe(response);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve({ server, url: `http://127.0.0.1:${(server.address() as { port: number }).port}` }));
  });
}

/** Whether tests of the page run in Firefox: `THINKPORT_BROWSER=firefox`. */
const inFirefox = process.env.THINKPORT_BROWSER === "firefox";
/** The program of the browser that is asked for; none where it is missing. */
export const BROWSER = inFirefox ? FIREFOX : CHROMIUM;
export const PROVIDERS = inFirefox ? (["wasm"] as const) : (["wasm", "webgpu"] as const);

export async function openPage(url: string): Promise<{ browser: Browser; page: Page }> {
  const browser = inFirefox
    ? await firefox.launch({ channel: "moz-firefox", executablePath: FIREFOX! })
    : await chromium.launch({ executablePath: CHROMIUM!, args: [...QUIET, ...WEBGPU] });
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(error));
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(url);
  await page.waitForFunction(() => (globalThis as { ready?: boolean }).ready === true);
  return { browser, page };
}

/** An artifact in a browser, in a worker: WebAssembly, and in Chromium WebGPU over SwiftShader. `THINKPORT_ARTIFACT` is its folder. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { End, ModelReport } from "../src/index.js";
import type { OpenRequest } from "../src/worker/protocol.js";
import type { Asked } from "./browser/page.js";
import { BROWSER, buildPage, openPage, ORT, PROVIDERS, serveFolders } from "./browser/browsers.js";

const folder = process.env.THINKPORT_ARTIFACT ?? "";

interface Turns {
  readonly report: ModelReport;
  readonly first: End;
  readonly second: End;
  readonly refused: string;
}

interface Outcome {
  readonly tests: number;
  readonly failures: string[];
}

interface Hooks {
  turns(request: OpenRequest): Promise<Turns>;
  replies(request: OpenRequest, asked: readonly Asked[]): Promise<{ replies: number[][] }>;
  fromFiles(request: OpenRequest, files: readonly string[], asked: Asked): Promise<{ ids: number[]; damaged: string | null }>;
}

describe.skipIf(!folder || !BROWSER)("an artifact in a browser (skipped without THINKPORT_ARTIFACT or a browser)", () => {
  const built = mkdtempSync(join(tmpdir(), "engine-page-"));
  let server: Server;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    await buildPage(built);
    const served = await serveFolders({ page: built, model: folder, ort: ORT });
    server = served.server;
    ({ browser, page } = await openPage(`${served.url}/page/index.html`));
  }, 300_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(built, { recursive: true });
  });

  const turns = (provider: "wasm" | "webgpu"): Promise<Turns> => {
    const request: OpenRequest = { source: { kind: "http", url: "/model/" }, ort: "/ort/", provider };
    return page.evaluate((asked) => (globalThis as unknown as Hooks).turns(asked), request);
  };

  test("what Python gives, this engine gives in a browser", async () => {
    const other = await browser.newPage();
    await other.goto(page.url().replace("index.html", "vectors.html"));
    await other.waitForFunction(() => (globalThis as { ready?: boolean }).ready === true);
    const run = (): Promise<Outcome> => (globalThis as unknown as { runTests(): Promise<Outcome> }).runTests();
    const { tests, failures } = await other.evaluate(run);
    expect(failures).toEqual([]);
    expect(tests).toBeGreaterThan(90);
    await other.close();
  }, 300_000);

  test("an artifact in the browser's file system gives the same ids, and a damaged one is refused", async () => {
    const files = readdirSync(folder).filter((name) => !/^genai|^(cuda|dml|webgpu)/.test(name));
    const asked: Asked = { text: "What is 2+2?", options: { thinking: false, maxTokens: 8, sampling: { temperature: 0 } } };
    const request: OpenRequest = { source: { kind: "http", url: "/model/" }, ort: "/ort/", provider: "wasm" };
    const kept = await page.evaluate(
      ([one, names, question]) => (globalThis as unknown as Hooks).fromFiles(one, names, question),
      [request, files, asked] as const,
    );
    const served = await page.evaluate(([one, question]) => (globalThis as unknown as Hooks).replies(one, [question]), [request, asked] as const);
    expect(kept.ids).toEqual(served.replies[0]);
    expect(kept.damaged).toMatch(/weights\.bin does not have the recorded sha256/);
  }, 300_000);

  test.each(PROVIDERS)("%s answers early when told, and a second turn pays for what is new", async (provider) => {
    const { report, first, second, refused } = await turns(provider);
    expect(report.provider).toBe(provider);
    expect(report.goldens!.correlation).toBeGreaterThan(0.95);
    expect([report.graph, report.kv]).toEqual(provider === "wasm" ? ["cpu.onnx", "int8"] : ["webgpu-float32.onnx", "float32"]);
    expect([first.thinkingEnd, first.forcedTokens > 4]).toEqual(["user", true]);
    expect(second.cachedTokens).toBeGreaterThanOrEqual(first.promptTokens);
    expect(second.promptTokens - second.cachedTokens).toBeLessThan(25);
    expect(refused).toMatch(/maxTokens is 0, expected 1 or more.*the model was closed: open it again/);
  }, 600_000);
});

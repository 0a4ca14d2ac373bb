/** The page over the engine in a browser's WebAssembly. `THINKPORT_ARTIFACT` is the folder of the reference model. */

import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Talk } from "../src/conversation/talk";
import { BROWSER, buildPage, openPage, ORT, serveFolders } from "../../engine/tests/browser/browsers.js";

const folder = process.env.THINKPORT_ARTIFACT ?? "";
const shots = process.env.THINKPORT_SCREENSHOTS;
const QUESTION = "What is 86*57?";

describe.skipIf(!folder || !BROWSER)("the page over the engine (skipped without THINKPORT_ARTIFACT or a browser)", { timeout: 600_000 }, () => {
  const built = mkdtempSync(join(tmpdir(), "page-over-engine-"));
  let server: Server;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let url: string;
  const wrong: string[] = [];

  beforeAll(async () => {
    await buildPage(built, fileURLToPath(new URL("browser", import.meta.url)));
    const served = await serveFolders({ page: built, model: folder, ort: ORT });
    server = served.server;
    url = `${served.url}/page/index.html`;
    ({ browser } = await openPage(url));
  }, 300_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(built, { recursive: true });
  });

  beforeEach(async () => {
    context = await browser.newContext();
    page = await context.newPage();
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (error) => wrong.push(String(error)));
    await page.goto(url);
  });

  afterEach(async () => {
    await context.close();
    expect(wrong.splice(0)).toEqual([]);
  });

  const ready = (): Promise<void> => page.locator(".top .where").filter({ hasText: "wasm · cpu.onnx" }).waitFor({ state: "attached" });
  const ask = async (text: string): Promise<void> => {
    await ready();
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.getByLabel("Message", { exact: true }).press("Enter");
  };
  const finished = (replies = 1): Promise<void> => page.locator(".reply[aria-busy=false]").nth(replies - 1).waitFor();
  /** Click a button as soon as it shows: the model is faster than a browser is driven. */
  const clickWhenShown = (selector: string): Promise<void> =>
    page.evaluate((sought) => {
      const clicking = setInterval(() => {
        const button = document.querySelector<HTMLButtonElement>(sought);
        if (button) [clearInterval(clicking), button.click()];
      }, 1);
    }, selector);
  const think = (thinking: { on: boolean; budget: number | null }): Promise<void> =>
    page.evaluate((chosen) => {
      const { library } = (globalThis as unknown as { talk: Talk }).talk;
      library.change(library.open.value.id, (before) => ({ ...before, thinking: chosen }));
    }, thinking);
  const answer = async (): Promise<string> => (await page.locator(".answer").last().innerText()).trim();
  const figures = (): Promise<string> => page.locator(".figures").last().innerText();
  const shoot = async (name: string): Promise<void> => void (shots && (await page.screenshot({ path: `${shots}/engine-${name}.png` })));

  test("it thinks and answers, a second turn finds the first one in the cache, and a reload keeps both", async () => {
    await ask(QUESTION);
    await finished();
    expect(await answer()).toBe("4902");
    const label = await page.locator(".thought .label").innerText();
    expect(label).toMatch(/^Thought · \d+ tokens$/);
    expect(await figures()).toMatch(/^\d+ tokens at .* · thought \d+ at .* · prompt 20, 0 cached$/);
    await ask("What is 2*3?");
    await finished(2);
    const [, prompt, cached] = /prompt (\d+), (\d+) cached/.exec(await figures())!.map(Number);
    expect(cached).toBeGreaterThan(20); // with the answer, fed in the idle time after it
    expect(prompt! - cached!).toBeLessThan(22);
    await shoot("two-turns");
    await page.reload();
    await page.getByRole("button", { name: QUESTION, exact: true }).click();
    expect(await page.locator(".answer").first().innerText()).toContain("4902");
    expect(await page.locator(".thought .label").first().innerText()).toBe(label);
    await ask("What is 3*3?");
    await finished(3);
    expect(await figures()).toMatch(/prompt \d+, 0 cached/);
  });

  test("thinking is switched off, and a budget cuts the thought", async () => {
    await ready();
    await page.getByRole("switch", { name: "Think" }).click();
    await ask(QUESTION);
    await finished();
    expect(await page.locator(".thought").count()).toBe(0);
    await think({ on: true, budget: 20 });
    await ask(QUESTION);
    await finished(2);
    expect(await page.locator(".thought .label").innerText()).toBe("Thought · 20 tokens · cut at its budget");
  });

  test("an answer that is wanted now comes, and a stopped reply keeps its figures", async () => {
    await clickWhenShown(".answer-now");
    await ask(QUESTION);
    await finished();
    expect(await page.locator(".thought .label").innerText()).toMatch(/closed by you$/);
    await page.getByRole("button", { name: "New chat" }).first().click();
    await clickWhenShown(".page:has(.thought.live) .stop");
    await ask(QUESTION);
    await finished();
    expect(await page.locator(".reply").innerText()).toContain("Stopped.");
    expect(await figures()).toMatch(/thought \d+/);
  });

  test("a question in another conversation waits for the reply that is written", async () => {
    await ready();
    await page.evaluate(() => {
      const { talk } = globalThis as unknown as { talk: Talk };
      talk.send("What is 86*57?");
      talk.library.begin();
      talk.send("What is 2*3?");
    });
    await finished();
    expect(await answer()).toMatch(/^\d+$/);
    await page.getByRole("button", { name: QUESTION, exact: true }).click();
    await finished();
    expect(await answer()).toBe("4902");
    expect(await page.getByRole("alert").count()).toBe(0);
  });

  test("what the engine refuses is told in its words, and the next question is answered", async () => {
    await ask("many words ".repeat(6000));
    await page.getByRole("alert").filter({ hasText: "maximum context length" }).waitFor();
    await page.getByRole("button", { name: "New chat" }).first().click();
    await ask("What is 2*3?");
    await finished();
    expect(await answer()).toMatch(/^\d+$/);
  });
});

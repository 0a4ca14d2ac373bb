/**
 * Greedy replies for a comparison with Python: `THINKPORT_GREEDY` is a file of questions and options, beside which the
 * ids of the replies are written, a file a host: a provider of Chromium, or `firefox`.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openFolder } from "../src/node/index.js";
import type { ModelReport } from "../src/index.js";
import type { OpenRequest } from "../src/worker/protocol.js";
import { BROWSER, buildPage, openPage, ORT, PROVIDERS, serveFolders } from "./browser/browsers.js";
import type { Asked } from "./browser/page.js";

const folder = process.env.THINKPORT_ARTIFACT ?? "";
const questions = process.env.THINKPORT_GREEDY ?? "";
const HOURS = 3 * 3_600_000;

interface Replies {
  readonly report: ModelReport;
  readonly replies: number[][];
}

const written = (host: string, found: Replies): void => writeFileSync(`${questions}.${host}`, JSON.stringify(found));

describe.skipIf(!folder || !questions)("greedy replies (skipped without THINKPORT_ARTIFACT and THINKPORT_GREEDY)", () => {
  const asked = questions ? (JSON.parse(readFileSync(questions, "utf8")) as Asked[]) : [];

  test("in Node", async () => {
    const model = await openFolder(folder);
    const replies: number[][] = [];
    for (const { text, options } of asked) replies.push([...(await model.stream(text, options).end()).ids]);
    await model.close();
    written("node", { report: model.report, replies });
    expect(replies).toHaveLength(asked.length);
  }, HOURS);

  test.skipIf(!BROWSER).each(PROVIDERS)("in a browser's %s", async (provider) => {
    const built = mkdtempSync(join(tmpdir(), "engine-page-"));
    await buildPage(built);
    const { server, url } = await serveFolders({ page: built, model: folder, ort: ORT });
    const { browser, page } = await openPage(`${url}/page/index.html`);
    try {
      const request: OpenRequest = { source: { kind: "http", url: "/model/" }, ort: "/ort/", provider };
      type Ask = { replies(request: OpenRequest, asked: readonly Asked[]): Promise<Replies> };
      const found = await page.evaluate(([one, all]) => (globalThis as unknown as Ask).replies(one, all), [request, asked] as const);
      written(process.env.THINKPORT_BROWSER ?? provider, found);
      expect(found.replies).toHaveLength(asked.length);
    } finally {
      await browser.close();
      server.close();
      rmSync(built, { recursive: true });
    }
  }, HOURS);
});

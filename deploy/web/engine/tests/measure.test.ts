/**
 * Times steps in Chromium: `python -m tests.web.measure_steps` says what of. `THINKPORT_STEPS` is a file with requests, which
 * gets the outcome beside it.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildPage, openPage, ORT, serveFolders } from "./browser/chromium.js";
import type { Steps, StepsRequest } from "./browser/measureWorker.js";

const file = process.env.THINKPORT_STEPS ?? "";
const folder = process.env.THINKPORT_ARTIFACT ?? "";

test.skipIf(!file || !folder)("steps are timed (skipped without THINKPORT_STEPS)", async () => {
  const built = mkdtempSync(join(tmpdir(), "engine-page-"));
  await buildPage(built);
  const { server, url } = await serveFolders({ page: built, model: folder, ort: ORT });
  const { browser, page } = await openPage(`${url}/page/measure.html`);
  const asked = JSON.parse(readFileSync(file, "utf8")) as Pick<StepsRequest, "provider" | "graph" | "rows" | "steps">[];
  const found: Steps[][] = [];
  for (const one of asked) {
    const request: StepsRequest = { ...one, model: "/model/", ort: "/ort/" };
    found.push(await page.evaluate((given) => (globalThis as unknown as { steps(one: StepsRequest): Promise<Steps[]> }).steps(given), request));
  }
  writeFileSync(`${file}.out`, JSON.stringify(found));
  await browser.close();
  server.close();
  rmSync(built, { recursive: true });
  expect(found.map((rows) => rows.length)).toEqual(asked.map(({ rows }) => rows.length));
}, 3_600_000);

/**
 * Times steps in Chromium: `python -m tests.web.measure_steps` says what of. `THINKPORT_STEPS` is a file with requests, which
 * gets the outcome beside it.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildPage, openPage, ORT, serveFolders } from "./browser/browsers.js";
import type { Steps, StepsRequest } from "./browser/measureWorker.js";

/** What a request gave: rows as far as they came, and what ended it before its end. */
interface Found {
  rows: Steps[];
  problem: string | null;
}

const file = process.env.THINKPORT_STEPS ?? "";
const folder = process.env.THINKPORT_ARTIFACT ?? "";

test.skipIf(!file || !folder)("steps are timed (skipped without THINKPORT_STEPS)", async () => {
  const built = mkdtempSync(join(tmpdir(), "engine-page-"));
  await buildPage(built);
  const { server, url } = await serveFolders({ page: built, model: folder, ort: ORT });
  const { browser, page } = await openPage(`${url}/page/measure.html`);
  const asked = JSON.parse(readFileSync(file, "utf8")) as Omit<StepsRequest, "model" | "ort">[];
  const found: Found[] = asked.map(() => ({ rows: [], problem: null }));
  const write = (): void => writeFileSync(`${file}.out`, JSON.stringify(found));
  let now = 0;
  await page.exposeFunction("told", (rows: Steps[]) => {
    found[now]!.rows = rows;
    write();
  });
  for (const one of asked) {
    const request: StepsRequest = { ...one, model: "/model/", ort: "/ort/" };
    await page
      .evaluate((given) => (globalThis as unknown as { steps(one: StepsRequest): Promise<void> }).steps(given), request)
      .catch((error: unknown) => void (found[now]!.problem = String(error)));
    write();
    now++;
  }
  await browser.close();
  server.close();
  rmSync(built, { recursive: true });
  expect(found.map(({ rows, problem }) => [problem, rows.map((row) => [row.problem, row.ms.length])])).toEqual(
    asked.map(({ rows, steps }) => [null, rows.map(() => [null, steps])]),
  );
}, 3_600_000);

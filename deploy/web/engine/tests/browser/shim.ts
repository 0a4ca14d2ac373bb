/** As much of vitest as the test of the vectors asks for, so that it runs in a page. */

type Work = (...args: never[]) => unknown;

interface Case {
  readonly name: string;
  readonly run: () => unknown;
}

const cases: Case[] = [];

/** Run all tests that were declared; the failures, each with its test's name. */
export async function runTests(): Promise<{ tests: number; failures: string[] }> {
  const failures: string[] = [];
  for (const { name, run } of cases) {
    try {
      await run();
    } catch (error) {
      failures.push(`${name}: ${String(error)}`);
    }
  }
  return { tests: cases.length, failures };
}

export const describe = (_name: string, declare: () => void): void => declare();

export const test = Object.assign((name: string, run: Work): void => void cases.push({ name, run: run as () => unknown }), {
  each: (rows: readonly (readonly unknown[])[]) => (name: string, run: Work) => {
    for (const row of rows) cases.push({ name: `${name} ${String(row[0])}`, run: () => run(...(row as never[])) });
  },
});

export const expect = (found: unknown, message = ""): Record<string, (expected?: unknown) => void> => ({
  toBe: (expected) => need(Object.is(found, expected), found, expected, message),
  toEqual: (expected) => need(written(found) === written(expected), found, expected, message),
  toThrow: (kind) => {
    try {
      (found as () => unknown)();
    } catch (error) {
      return need(error instanceof (kind as new () => Error), error, kind, message);
    }
    need(false, "nothing thrown", kind, message);
  },
});

function need(holds: boolean, found: unknown, expected: unknown, message: string): void {
  if (!holds) throw new Error(`${message} found ${written(found)}, expected ${written(expected)}`);
}

/** JSON with the keys of objects in one order. */
function written(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    item !== null && typeof item === "object" && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort()) : item,
  );
}

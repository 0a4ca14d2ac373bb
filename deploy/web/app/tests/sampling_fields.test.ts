import { expect, it } from "vitest";
import { FIELDS, problemOf } from "../src/view/SamplingFields";

const field = (name: string) => FIELDS.find((one) => one.name === name)!;

it.each(["top_k", "max_tokens", "seed"])("%s takes whole numbers alone", (name) => {
  expect(problemOf(field(name), 1.5)).toMatch(/^Expected a whole number from \d to \d+\.$/);
  expect(problemOf(field(name), NaN)).not.toBe("");
  expect(problemOf(field(name), field(name).min - 1)).not.toBe("");
  expect(problemOf(field(name), 7)).toBe("");
});

it("other fields take what is between their steps, and nothing out of range", () => {
  expect(problemOf(field("temperature"), 0.333)).toBe("");
  expect(problemOf(field("temperature"), 2.1)).toBe("Expected 0 to 2.");
  expect(problemOf(field("presence_penalty"), NaN)).not.toBe("");
});

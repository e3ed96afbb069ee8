import { expect, test, vi } from "vitest";

vi.stubGlobal("location", { pathname: "/" });
const { planOfDraft, revisionsOf } = await import("../src/run/revise");

const epic = (key: string): any => ({ name: `runs/r/epics/${key}`, key, title: key.toUpperCase() });
const of =
  (states: Record<string, string[]>) =>
  (name: string): any[] =>
    (states[name.split("/")[3]] ?? []).map((state) => ({ state }));
const words = (states: Record<string, string[]>) =>
  revisionsOf(Object.keys(states).map(epic), of(states)).map((each) => each.word);

test("a failure offers the rest of its epic first, several also that of the run", () => {
  expect(words({ a: ["accepted", "failed"], b: ["accepted"] })).toEqual(["Plan the rest of A again"]);
  expect(words({ a: ["failed"], b: ["failed", "pending"] })).toEqual([
    "Plan the rest of the run again",
    "Plan the rest of A again",
    "Plan the rest of B again",
    "Split B",
  ]);
});

test("what has not started can be split; a run that is done offers nothing", () => {
  expect(words({ a: ["running", "pending"], b: ["accepted"] })).toEqual([
    "Plan the rest of the run again",
    "Split A",
  ]);
  expect(words({ a: ["accepted"], b: ["skipped"] })).toEqual([]);
});

test("a draft is shown where its plan is: at its run, or in the form", () => {
  expect(planOfDraft({ name: "runs/d", revises: "runs/r" })).toBe("/runs/r/plan?draft=d");
  expect(planOfDraft({ name: "runs/d", revises: "" })).toBe("/new?draft=d");
});

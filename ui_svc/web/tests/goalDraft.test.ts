import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type FoundDraft, hasEnded, keepFollowed, progressOf, readFollowed } from "../src/newRun/goalDraft";

const draft = (change: Partial<FoundDraft> & { state?: string; reason?: string; waiting?: number }) =>
  ({
    text: "",
    valid: false,
    reasons: "",
    problems: [],
    warnings: [],
    handovers: 0,
    ...change,
    run: {
      name: "runs/d",
      state: change.state ?? "running",
      reason: change.reason ?? "",
      project: "/p",
      tasks: { waiting: change.waiting ?? 0 },
      usage: {},
    },
  }) as FoundDraft;

describe("the state of a draft in words", () => {
  const problems = [{ line: 1, field: "", message: "wrong" }];
  it.each([
    [draft({ state: "pending" }), "Waiting for a free agent…"],
    [draft({}), "The agent reads the repository…"],
    [draft({ handovers: 2 }), "The agent changes its plan (2 answers so far)…"],
    [draft({ waiting: 1 }), "The agent asks you something."],
    [draft({ state: "paused", reason: "no money" }), "Paused: no money"],
    [draft({ state: "succeeded", valid: true }), "The plan is drafted."],
    [draft({ state: "failed", reason: "lost" }), "The draft failed: lost"],
    [draft({ state: "failed", text: "x", problems }), "The draft failed: its last plan has errors."],
    [draft({ state: "cancelled" }), "Stopped."],
    [draft({ state: "cancelled", valid: true }), "Stopped; there is a valid plan already."],
  ])("says how far it is (%#)", (found, words) => {
    expect(progressOf(found)).toBe(words);
  });

  it("knows when nothing more follows", () => {
    expect(["pending", "running", "paused", "cancelling"].some((state) => hasEnded(draft({ state })))).toBe(
      false,
    );
    expect(["succeeded", "failed", "cancelled"].every((state) => hasEnded(draft({ state })))).toBe(true);
  });
});

describe("the draft that the form follows", () => {
  let stored = new Map<string, string>();
  beforeEach(() => {
    stored = new Map();
    vi.stubGlobal("sessionStorage", {
      getItem: (key: string) => stored.get(key) ?? null,
      setItem: (key: string, value: string) => stored.set(key, value),
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  it("is the kept one, or the one that the address asks for", () => {
    expect(readFollowed("")).toEqual({ run: "", goal: "", asked: false });
    keepFollowed("runs/a-1", "Goal");
    expect(readFollowed("")).toEqual({ run: "runs/a-1", goal: "Goal", asked: false });
    expect(readFollowed("?draft=b-2")).toEqual({ run: "runs/b-2", goal: "Goal", asked: true });
    expect(readFollowed("?draft=a-1").asked).toBe(false);
    expect(readFollowed("?draft=../x").run).toBe("runs/a-1");
  });

  it("is none if what was kept is broken", () => {
    stored.set("heddle-goal", "{");
    expect(readFollowed("").run).toBe("");
  });
});

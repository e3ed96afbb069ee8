import { assert, test } from "vitest";

import { actionsOf } from "../src/board/actions";

const EPIC = "runs/r/epics/e";
const task = (key: string, state: string): any => ({ name: `${EPIC}/tasks/${key}`, title: key, state });

// [about, state of the epic, its tasks, words and paths of the actions, files that conflict]
const CASES: any[] = [
  ["a planned merge is offered", "awaiting_merge", [task("a", "accepted")], { Merge: ":merge" }],
  [
    "a conflict is given to an agent, resolved by hand, or merged again",
    "conflicted",
    [task("a", "accepted")],
    { "Resolve with an agent": ":resolve", "Resolve here": "", "Merge again": ":merge" },
    ["a.py"],
  ],
  [
    "checks that fail have no files to resolve",
    "conflicted",
    [task("a", "accepted")],
    { "Resolve with an agent": ":resolve", "Merge again": ":merge" },
  ],
  [
    "a failed task is retried, or its epic planned again",
    "failed",
    [task("a", "failed")],
    { Retry: "/tasks/a:retry", "Plan the rest again": ":revise" },
  ],
  [
    "one of several tasks is named",
    "failed",
    [task("a", "accepted"), task("b", "failed")],
    { "Retry b": "/tasks/b:retry", "Plan the rest again": ":revise" },
  ],
  ["what runs needs none", "running", [task("a", "running")], {}],
  ["what is merged needs none", "succeeded", [task("a", "accepted")], {}],
];

for (const [about, state, tasks, wanted, conflict_files = []] of CASES) {
  test(about, () => {
    const actions = actionsOf({ name: EPIC, title: "Shop", state, conflict_files }, tasks);
    const found = actions.map((each) => [each.word, each.path.slice(EPIC.length)]);
    assert.deepEqual(Object.fromEntries(found), wanted);
  });
}

import { assert, test } from "vitest";

import { actionsOf } from "../src/board/actions";
import { KINDS } from "../src/frame/attentionKinds";

const EPIC = "runs/r/epics/e";
const task = (key: string, state: string): any => ({ name: `${EPIC}/tasks/${key}`, title: key, state });

// [about, state of the epic, its tasks, words and paths of the actions, files that conflict]
const CASES: any[] = [
  ["a planned merge is offered", "awaiting_merge", [task("a", "accepted")], { Merge: ":merge" }],
  ["what was left unmerged can still be merged", "dropped", [], { "Merge after all": ":merge" }],
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
    const actions = actionsOf(
      { name: EPIC, key: "e", title: "Shop", state, sync: null, conflict_files },
      tasks,
    );
    const found = actions.map((each) => [each.word, each.path.slice(EPIC.length)]);
    assert.deepEqual(Object.fromEntries(found), wanted);
  });
}

const BASE = { branch: "main", behind: { e: 2 } };

// [about, what the epic does about new commits, state of its task, words and bodies of the actions]
const SYNCS: any[] = [
  [
    "an epic that is behind can take the branch in",
    null,
    "running",
    { "Take in 2 new commits of main": undefined },
  ],
  ["not without tasks left", null, "accepted", {}],
  ["not twice", { state: "requested", branch: "main", files: [] }, "running", {}],
  [
    "again after it was left",
    { state: "off", branch: "main", files: [] },
    "running",
    { "Take in 2 new commits of main": undefined },
  ],
  [
    "a conflict is given to an agent, merged again, or left",
    { state: "held", branch: "main", files: ["a"] },
    "pending",
    {
      "Resolve with an agent": undefined,
      "Merge again": undefined,
      "Continue without main": { cancel: true },
    },
  ],
];

for (const [about, sync, state, wanted] of SYNCS) {
  test(about, () => {
    const epic: any = { name: EPIC, key: "e", title: "Shop", state: "running", sync };
    const actions = actionsOf(epic, [task("a", state)], BASE);
    assert.deepEqual(Object.fromEntries(actions.map((each) => [each.word, each.body])), wanted);
    assert.deepEqual(
      actionsOf({ ...epic, sync: null }, [task("a", state)], null).map((each) => each.word),
      [],
    );
  });
}

test("a merge that was only requested is not said to have been done", () => {
  const held: any = { state: "held", branch: "main", files: ["a"] };
  const merges = ["awaiting_merge", "dropped", "conflicted", "running"].flatMap((state) =>
    actionsOf(
      {
        name: EPIC,
        key: "e",
        title: "Shop",
        state: state as any,
        sync: state === "running" ? held : null,
        conflict_files: [],
      },
      [task("a", "accepted")],
    ).filter((each) => /^Merge/.test(each.word)),
  );
  const ofList = Object.values(KINDS).flatMap(({ again }) =>
    again && ["merge", "push"].includes(again.action) ? [again.said("Shop")] : [],
  );
  assert.deepEqual(
    [...merges.map((each) => each.said), ...ofList],
    [
      "Merge of Shop requested",
      "Merge of Shop requested",
      "Merge of Shop requested",
      "Merge of main into Shop requested",
      "Merge of Shop requested",
      "Merge of Shop requested",
      "Push of Shop requested",
    ],
  );
});

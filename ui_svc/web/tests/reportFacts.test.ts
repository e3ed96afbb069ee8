import { assert, test } from "vitest";

import { gather } from "../src/model/reportFacts";

const epic = (key: string, state: string, files: string[] = []): any => ({
  name: `runs/r/epics/${key}`,
  key,
  title: key,
  index: 0,
  state,
  branch: `b/${key}`,
  merge_commit: "",
  conflict_files: files,
  tasks: { accepted: 1, total: 1 },
});

// Each epic has one accepted task.
function facts(...epics: any[]) {
  const task = (name: string): any => ({
    name: `${name}/tasks/t`,
    epic: name,
    title: "t",
    state: "accepted",
  });
  return gather(
    {
      run: { value: { name: "runs/r" } as any },
      epics: new Map(epics.map((each) => [each.name, each])),
      tasks: new Map(),
      tasksOf: (name) => [task(name)],
    },
    [],
  );
}

test("an epic is either done or not, whatever its tasks", () => {
  const found = facts(
    epic("merged", "succeeded"),
    epic("clash", "conflicted", ["a.txt"]),
    epic("checks", "conflicted"),
    epic("yours", "awaiting_merge"),
  );
  assert.deepEqual(
    found.done.map((each) => each.title),
    ["merged"],
  );
  assert.deepEqual(
    found.notDone.map((each) => [each.title, each.why, each.saved]),
    [
      ["clash", "Its merge conflicts in a.txt", "b/clash"],
      ["checks", "The checks of its merge failed", "b/checks"],
      ["yours", "Its plan leaves the merge to you", "b/yours"],
    ],
  );
});

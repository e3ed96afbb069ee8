import { assert, test } from "vitest";
import { commandsOf, headline, outcomeOf } from "../src/run/outcome";

const counts = { total: 3, accepted: 3, pending: 0, running: 0, waiting: 0, failed: 0, skipped: 0 };
const run = (more: object): any => ({
  state: "succeeded",
  project: "/code/my shop",
  branch: "heddle/r/merged",
  merge_into: "",
  tasks: counts,
  ...more,
});
const epic = (key: string, index: number, more: object): any => [
  key,
  { name: key, key, title: key, index, merge_commit: "", tasks: counts, ...more },
];
const task = (epicName: string, state: string, more = {}): any => ({
  name: `${epicName}/t`,
  title: "T",
  state,
  reason: "",
  epic: epicName,
  attempt: null,
  ...more,
});
const storeOf = (epics: any[], tasks: any[]): any => ({
  run: { value: null },
  epics: new Map(epics),
  tasks: new Map(tasks.map((each) => [each.name, each])),
  tasksOf: (name: string) => tasks.filter((each) => each.epic === name),
});

test("failures come in plan order, with the reason of the task or else of its attempt", () => {
  const attempt: any = {
    name: "b/t/attempts/1",
    reason: "too slow",
    agent_session: { id: "1", command: "" },
  };
  const found = outcomeOf(
    storeOf(
      [
        epic("b", 1, { state: "failed" }),
        epic("a", 0, { state: "conflicted" }),
        epic("c", 2, { merge_commit: "1" }),
      ],
      [task("a", "skipped"), task("b", "failed", { attempt }), task("c", "accepted")],
    ),
  );
  assert.deepEqual(
    found.failed.map((each) => [each.epic, each.why, each.attempt, each.resumes]),
    [["b", "too slow", "b/t/attempts/1", true]],
  );
  assert.equal(found.conflicts[0].key, "a");
  assert.equal(found.merged[0].key, "c");
  assert.equal(found.unmerged[0].key, "b");
  assert.equal(
    headline(run({ state: "failed", tasks: { ...counts, accepted: 1 } }), found),
    "1 of 3 tasks done, 1 failed, 1 skipped, 1 epic not merged because of a conflict",
  );
});

test("a run that left nothing is done and merged", () => {
  assert.equal(headline(run({}), outcomeOf(storeOf([], []))), "All 3 tasks done and merged");
});

test("the next command fits where the work is, and quotes paths", () => {
  const texts = (more: object) => commandsOf(run(more)).map((each) => each.text);
  assert.deepEqual(texts({}), [
    "git -C '/code/my shop' merge heddle/r/merged",
    "git -C '/code/my shop' push origin heddle/r/merged",
  ]);
  assert.deepEqual(texts({ merge_into: "main", project: "/code" }), ["git -C /code push origin main"]);
  assert.deepEqual(texts({ merge_into: "main", state: "failed", project: "/c" }), [
    "git -C /c merge heddle/r/merged",
    "git -C /c push origin heddle/r/merged",
  ]);
  assert.deepEqual(texts({ project: "https://host/x.git" }), ["git fetch origin heddle/r/merged"]);
  assert.deepEqual(texts({ tasks: { ...counts, accepted: 0 } }), []);
});

import { assert, test } from "vitest";

import { pastOf } from "../src/model/past";

const RUN = "runs/r";
const EPIC = `${RUN}/epics/e`;
const TASK = `${EPIC}/tasks/t`;

const now = (attempt: any = { name: `${TASK}/attempts/1`, state: "accepted", diff: null }): any => ({
  run: { value: { name: RUN } },
  tasks: new Map([[TASK, { name: TASK, epic: EPIC, attempt }]]),
  epics: new Map([[EPIC, { name: EPIC, depends_on: [], conflict_files: [] }]]),
});
const turns = (...kinds: any[]) =>
  kinds.map((kind, place) => ({
    type: kind[0],
    epic: "e",
    task: "t",
    attempt: 1,
    time: place + 1,
    ...kind[1],
  }));
const at = (...kinds: any[]) => pastOf(now(), turns(...kinds), kinds.length);
const asks = (id: any) => ["approval_requested", { approval_id: id }];
const answered = (id: any) => ["approval_resolved", { approval_id: id }];

// [what it is about, turns, state of the task, state of its attempt]
const STATES: any[] = [
  ["it has not begun", [], "pending", undefined],
  ["it runs", [["task_started"]], "running", "running"],
  ["it asks", [["task_started"], asks("a")], "waiting", "waiting"],
  [
    "one of two questions is answered",
    [["task_started"], asks("a"), asks("b"), answered("a")],
    "waiting",
    "waiting",
  ],
  [
    "both are answered",
    [["task_started"], asks("a"), asks("b"), answered("a"), answered("b")],
    "running",
    "running",
  ],
  ["it is parked", [["task_started"], asks("a"), ["task_waiting", { parked: true }]], "waiting", "parked"],
  [
    "a parked one has its answer",
    [["task_started"], asks("a"), ["task_waiting", { parked: true }], answered("a")],
    "pending",
    "parked",
  ],
  ["its checks run", [["task_started"], ["session_finished"]], "running", "checking"],
  ["it is accepted", [["task_started"], ["task_accepted", { commit: "c" }]], "accepted", "accepted"],
  [
    "another attempt follows",
    [["task_started"], ["task_failed", { will_retry: true }]],
    "pending",
    "accepted",
  ],
  ["none follows", [["task_started"], ["task_failed", {}]], "failed", "accepted"],
  ["it was reopened", [["task_started"], ["task_accepted", {}], ["task_reopened"]], "pending", "accepted"],
];

for (const [about, kinds, state, attempt] of STATES) {
  test(`${about}: the task is ${state}`, () => {
    const [task] = at(...kinds).tasks;
    assert.deepEqual([task.state, task.attempt?.state], [state, attempt]);
  });
}

test("what came after the moment does not count", () => {
  const { tasks, run } = pastOf(now(), turns(["task_started"], ["task_accepted", { commit: "c" }]), 1);
  assert.deepEqual(
    [tasks[0].state, tasks[0].commit, tasks[0].attempt?.ended, run.ended],
    ["running", "", 1, 1],
  );
});

test("usage is counted once for each of run, epic and attempt", () => {
  const past = at(["task_started"], ["usage", { output_tokens: 5, cost_usd_micros: 7 }]);
  for (const usage of [past.run.usage, past.epics[0].usage, past.tasks[0].attempt!.usage]) {
    assert.deepEqual([usage.output, usage.cost], [5, 7]);
  }
});

test("an attempt that was stopped since is told as stopped only where it is the newest", () => {
  const stopped = now({ name: `${TASK}/attempts/1`, state: "stopped", diff: null });
  const [task] = pastOf(stopped, turns(["task_started"], ["task_failed", {}]), 2).tasks;
  assert.strictEqual(task.attempt?.state, "stopped");
});

test("attempts, questions, costs and merges count from their time; a task before a retry is pending", () => {
  const of = { epic: "e", task: "t", attempt: 1 };
  const all: any[] = [
    { type: "run_started" },
    { type: "task_started", ...of },
    { type: "approval_requested", approval_id: "q", ...of },
    { type: "approval_resolved", approval_id: "q", ...of },
    { type: "usage", cost_usd_micros: 7, ...of },
    { type: "task_failed", will_retry: true, ...of },
    { type: "task_started", ...of, attempt: 2 },
    { type: "task_accepted", commit: "c", ...of, attempt: 2 },
    { type: "merge_started", epic: "e" },
    { type: "merge_finished", epic: "e" },
    { type: "run_finished", outcome: "succeeded" },
  ].map((turn, place) => ({ ...turn, time: place + 1 }));
  const states = Array.from({ length: 12 }, (_, time) => {
    const { run, epics, tasks } = pastOf(now(), all, time);
    return [run.state, epics[0].state, tasks[0].state, tasks[0].attempts, run.usage.cost].join(" ");
  });
  assert.deepEqual(states, [
    "pending ready pending 0 0",
    "running ready pending 0 0",
    "running running running 1 0",
    "running running waiting 1 0",
    "running running running 1 0",
    "running running running 1 7",
    "running running pending 1 7",
    "running running running 2 7",
    "running running accepted 2 7",
    "running merging accepted 2 7",
    "running succeeded accepted 2 7",
    "succeeded succeeded accepted 2 7",
  ]);
});

test("the card of a question in the past says what was asked", () => {
  const asked = ["approval_requested", { approval_id: "a", question: "May I?" }];
  assert.strictEqual(at(["task_started"], asked).tasks[0].reason, "May I?");
  assert.strictEqual(at(["task_started"], asked, answered("a")).tasks[0].reason, "");
});

import { assert, test } from "vitest";
import { pastOf } from "../src/model/past";
import { createSpans, criticalPath } from "../src/model/timelineSpans";

const of = (attempt: number) => ({ epic: "a", task: "t", attempt });
const spansOf = (turns: any[]) => {
  const known = createSpans("r");
  turns.forEach(known.apply);
  return [...known.spans.values()];
};

test("in an active run, the critical path goes back from the epic with most tasks left over dependencies", () => {
  const span = (key: string, epic: any, from: any, to: any) => ({ key, epic, from, to, waits: [] }) as any;
  const spans = [
    span("base", "a", 0, 5),
    span("merge a", "a", 5, 6),
    span("short", "b", 6, null),
    span("long 1", "c", 6, 8),
    span("long 2", "c", 8, null),
  ];
  const needs: Record<string, string[]> = { b: ["a"], c: ["a"] };
  const path = criticalPath(
    spans,
    (key) => needs[key] ?? [],
    (key) => (({ b: 1, c: 3 }) as Record<string, number>)[key] ?? 0,
  );
  assert.deepEqual([...path], ["long 2", "long 1", "merge a", "base"]);
});

const parked = (time: number, attempt: number) => [
  { time, type: "task_started", ...of(attempt) },
  { time: time + 1, type: "task_waiting", parked: true, ...of(attempt) },
];
const answered: any[] = [...parked(0, 1), { time: 5, type: "approval_resolved", ...of(1) }, ...parked(10, 2)];

// [the turn at 20, when the second wait ends]
const ENDS: [string, number | null][] = [
  ["task_started", 20],
  ["task_failed", 20],
  ["task_skipped", 20],
  ["run_finished", 20],
  ["usage", null],
];

for (const [type, end] of ENDS)
  test(`a wait for an answer at ${type}: it ends at ${end}`, () => {
    const waits = spansOf([...answered, { time: 20, type, ...of(2) }]).filter((span) => span.kind === "wait");
    assert.deepEqual(
      waits.map((span) => [span.from, span.to]),
      [
        [1, 5],
        [11, end],
      ],
    );
  });

test("an answered task is pending until its next attempt", () => {
  const task = { name: "r/epics/a/tasks/t", epic: "r/epics/a", attempt: null };
  const now: any = { run: { value: { name: "r" } }, epics: new Map(), tasks: new Map([[task.name, task]]) };
  assert.deepEqual(
    [1, 5, 10].map((time) => pastOf(now, answered, time).tasks[0].state),
    ["waiting", "pending", "running"],
  );
});

test("after an attempt fails on a limit, a wait with the limit's reason lasts until the next attempt", () => {
  const reason = "rate-limited until 14:05";
  const spans = spansOf([
    { time: 0, type: "task_started", ...of(1) },
    { time: 4, type: "task_failed", will_retry: true, ...of(1) },
    { time: 4, type: "task_waiting", until: 9, reason, ...of(1) },
    { time: 9, type: "task_started", ...of(2) },
  ]);
  assert.deepEqual(
    spans.map((span) => [span.kind, span.from, span.to, span.reason]),
    [
      ["attempt", 0, 4, ""],
      ["wait", 4, 9, reason],
      ["attempt", 9, null, ""],
    ],
  );
});

// The facts of a report, from a run's epics, tasks and the milestones of its log. Pure.
import { plural } from "./format";
import { EPIC, epicLook, status, TASK } from "./status";
import type { Attempt, DiffStat, Epic, RunParts, Task, Turn } from "./types";

type Store = RunParts & { tasksOf: (epic: string) => Task[] };
type Placed = Task & { epicTitle: string };

export function gather(store: Store, turns: Turn[]) {
  const epics = [...store.epics.values()].sort((a, b) => a.index - b.index);
  const tasks = epics.flatMap((epic) =>
    store.tasksOf(epic.name).map((task) => ({ ...task, epicTitle: epic.title })),
  );
  const accepted = tasks.filter((task) => task.state === "accepted");
  const pending = tasks.filter((task) => task.state === "pending");
  const waiting = [...new Set(pending.map((task) => task.epicTitle))].join(", ");
  return {
    ahead:
      pending.length &&
      `${plural(pending.length, "task")} ${pending.length > 1 ? "have" : "has"} not started, in ${waiting}.`,
    answers: turns.filter((turn) => turn.type === "approval_resolved" && turn.actor.startsWith("user"))
      .length,
    done: epics
      .filter((epic) => !UNMERGED[epic.state])
      .map((epic) => ({
        key: epic.key,
        title: epic.title,
        state: epicLook(epic),
        merge: epic.merge_commit,
        tasks: accepted
          .filter((task) => task.epic === epic.name)
          .map((task) => ({ ...task, tests: testsOf(task.attempt) })),
      }))
      .filter((epic) => epic.tasks.length),
    lines: linesOf(accepted),
    merges: mergesOf(store, turns),
    notDone: [
      ...epics.filter((epic) => UNMERGED[epic.state]).map(unmerged),
      ...tasks.filter((task) => !["accepted", "pending"].includes(task.state)).map(open),
    ],
    tests: total(accepted),
  };
}

// Why an epic whose work is not on the result branch is not done, and what to do, by its state.
const UNMERGED: Record<string, { why: (epic: Epic) => string; next: string }> = {
  conflicted: {
    why: (epic) =>
      epic.conflict_files.length
        ? `Its merge conflicts in ${epic.conflict_files.join(", ")}`
        : "The checks of its merge failed",
    next: "Resolve it on the conflicts page, let an agent do it, or fix the branch and merge it again.",
  },
  awaiting_merge: { why: () => "Its plan leaves the merge to you", next: "Merge it, or drop it." },
};

function unmerged(epic: Epic) {
  const { why, next } = UNMERGED[epic.state];
  return {
    key: epic.name,
    state: status(EPIC, epic.state),
    title: epic.title,
    place: `the whole epic, ${epic.tasks.accepted} of ${plural(epic.tasks.total, "task")} done`,
    why: why(epic),
    saved: epic.branch,
    next,
  };
}

const NEXT: Record<string, string> = {
  waiting: "Waiting for your answer.",
  failed: "Retry it.",
  running: "An agent is working on it.",
};

function open(task: Placed) {
  return {
    key: task.name,
    state: status(TASK, task.state),
    title: task.title,
    place: task.epicTitle,
    why: task.reason || (task.state === "failed" ? task.attempt?.reason : ""),
    saved: task.attempt?.kept_ref,
    next: NEXT[task.state],
  };
}

const testsIn = (attempt: Attempt | null) =>
  (attempt?.checks ?? []).reduce(
    (all, { tests }) =>
      tests ? { passed: all.passed + tests.passed, failed: all.failed + tests.failed, some: true } : all,
    { passed: 0, failed: 0, some: false },
  );

// Without counted tests, the result of the checks is shown.
function testsOf(attempt: Attempt | null): string {
  const { passed, failed, some } = testsIn(attempt);
  if (some) return failed ? `${passed} passed, ${failed} failed` : `${passed} passed`;
  const checks = attempt?.checks ?? [];
  return checks.length
    ? `${checks.filter((check) => check.ok).length} of ${plural(checks.length, "check")}`
    : "no checks";
}

function total(tasks: Task[]): string {
  const sums = tasks.map((task) => testsIn(task.attempt)).filter((each) => each.some);
  if (!sums.length) return "none reported";
  // Each task runs the tests of all tasks before it, so they are not summed.
  const most = Math.max(...sums.map((each) => each.passed));
  const failed = sums.reduce((all, each) => all + each.failed, 0);
  return failed ? `${most} passed, ${failed} failed` : `${most} passed`;
}

function linesOf(tasks: Task[]): string {
  const sum = (key: keyof DiffStat) => tasks.reduce((all, task) => all + (task.attempt?.diff?.[key] ?? 0), 0);
  return `+${sum("insertions").toLocaleString("en-US")} −${sum("deletions").toLocaleString("en-US")}`;
}

function isConflicted(store: Store, turn: Turn): boolean {
  const epic = store.epics.get(`${store.run.value!.name}/epics/${turn.epic}`);
  return epic?.state === "conflicted" && epic.conflict_files.length > 0;
}

function mergesOf(store: Store, turns: Turn[]) {
  const run = store.run.value!;
  return turns
    .filter((turn) => turn.type === "merge_finished" || turn.type === "merge_conflicted")
    .map((turn) => {
      const ok = turn.type === "merge_finished";
      return {
        ok,
        time: turn.time,
        title: turn.epic
          ? (store.epics.get(`${run.name}/epics/${turn.epic}`)?.title ?? turn.epic)
          : run.title,
        words: turn.words,
        // Only as long as it is what keeps the epic from being merged.
        resolve: !ok && isConflicted(store, turn) ? `/${run.name}/conflicts?resolve=${turn.epic}` : "",
      };
    });
}

// The state of a run at a moment, from its turns until then: the kinds that event.proto marks as `history`.
import { nothing, report, add, type Total } from "./spending";
import { ATTEMPT_LIVE } from "./status";
import type { Attempt, Epic, EpicState, Run, RunParts, RunState, Task, TaskCounts, Turn } from "./types";

// An attempt while the turns are read.
type Open = Attempt & { number: number; asked: Set<string> };

const RUN_STATES: Record<string, RunState> = {
  run_started: "running",
  run_paused: "paused",
  run_resumed: "running",
};

const MERGE_STATES: Record<string, EpicState> = {
  merge_started: "merging",
  merge_finished: "succeeded",
  merge_conflicted: "conflicted",
};

// `now` has the current maps; returns the same as of `time`.
export function pastOf(
  now: RunParts,
  turns: Turn[],
  time: number,
): { tasks: Task[]; epics: Epic[]; run: Run } {
  const run = now.run.value!;
  const attempts = new Map<string, Open>();
  // The attempts whose work is under review, by task. Later attempts are the reviews.
  const submitted = new Map<string, Open>();
  const states = new Map<string, Partial<Task>>();
  const epicStates = new Map<string, EpicState>();
  const usages = new Map<string, Total>();
  let runState: RunState = "pending";
  const usage = (key: string) => {
    const known = usages.get(key) ?? nothing();
    usages.set(key, known);
    return known;
  };

  for (const turn of turns) {
    if (turn.time > time) break;
    const epic = `${run.name}/epics/${turn.epic}`;
    const task = `${epic}/tasks/${turn.task}`;
    const it = attempts.get(task);
    switch (turn.type) {
      case "task_started":
        attempts.set(task, {
          name: `${task}/attempts/${turn.attempt}`,
          number: turn.attempt,
          state: "running",
          reason: "",
          agent: turn.agent ?? "",
          worker: turn.worker ?? "",
          started: turn.time,
          ended: null,
          commit: "",
          kept_ref: "",
          diff: null,
          usage: nothing(),
          checks: [],
          summary: null,
          asked: new Set(),
        });
        states.set(task, { state: "running", since: turn.time });
        epicStates.set(epic, "running");
        break;
      case "approval_requested":
      case "approval_resolved":
        // Another attempt continues with the answer to a parked session.
        if (it?.state === "parked" && turn.type === "approval_resolved")
          states.set(task, { state: "pending", since: turn.time });
        if (!it || it.state === "parked") break;
        if (turn.type === "approval_requested") it.asked.add(turn.approval_id);
        else it.asked.delete(turn.approval_id);
        it.state = it.asked.size ? "waiting" : "running";
        states.set(task, {
          state: it.asked.size ? "waiting" : "running",
          since: turn.time,
          reason: it.asked.size ? (turn.question ?? states.get(task)?.reason ?? "") : "",
        });
        break;
      case "check_finished":
        if (it) Object.assign(it, { state: "checking", checks: [...it.checks, turn as any] });
        break;
      case "usage":
        for (const key of [run.name, epic]) add(usage(key), report(turn));
        if (it) add(it.usage, report(turn));
        break;
      case "session_finished":
        if (it) it.state = "checking";
        break;
      case "review_requested":
        if (it) {
          Object.assign(it, {
            state: "submitted",
            ended: turn.time,
            diff: turn.diff_stat ? { files: 0, insertions: 0, deletions: 0, ...turn.diff_stat } : null,
          });
          submitted.set(task, it);
        }
        states.set(task, { state: "pending", since: turn.time });
        break;
      case "candidates_started":
        states.set(task, { state: "running", since: turn.time });
        epicStates.set(epic, "running");
        break;
      case "candidate_passed":
        if (it) Object.assign(it, { state: "submitted", ended: turn.time, commit: turn.commit ?? "" });
        states.set(task, { state: "passed", since: turn.time, score: turn.score ?? null });
        break;
      case "candidate_chosen":
        states.set(task, { state: "running", since: turn.time, chosen: turn.candidate });
        break;
      case "review_finished":
        if (it) Object.assign(it, { state: "reviewed", ended: turn.time });
        states.set(task, { state: "pending", since: turn.time });
        break;
      case "task_accepted":
      case "task_failed": {
        const worked = submitted.get(task);
        // A review ends before what it decides about.
        if (worked && worked.number === turn.attempt) {
          attempts.set(task, worked);
          Object.assign(worked, {
            state: turn.type === "task_accepted" ? "accepted" : "failed",
            commit: turn.commit ?? "",
            reason: turn.reason ?? "",
          });
          states.set(task, {
            state: turn.type === "task_accepted" ? "accepted" : "failed",
            since: turn.time,
            reason: turn.reason ?? "",
            commit: turn.commit ?? "",
          });
          break;
        }
        const accepted = turn.type === "task_accepted";
        // Only the newest attempt still knows that it was stopped or lost.
        const last = now.tasks.get(task)?.attempt;
        const failed =
          last && last.name === it?.name && !ATTEMPT_LIVE.has(last.state) ? last.state : "failed";
        if (it)
          Object.assign(it, {
            state: accepted ? "accepted" : failed,
            ended: turn.time,
            commit: turn.commit ?? "",
            no_changes: !!turn.no_changes,
            kept_ref: turn.kept_ref ?? "",
            reason: turn.reason ?? "",
            diff: turn.diff_stat
              ? { files: 0, insertions: 0, deletions: 0, ...turn.diff_stat }
              : accepted || last?.name !== it.name
                ? null
                : last.diff,
          });
        states.set(task, {
          ...(accepted && { chosen: states.get(task)?.chosen ?? 0 }),
          state: accepted ? "accepted" : turn.will_retry ? "pending" : "failed",
          since: turn.time,
          reason: turn.reason ?? "",
          commit: turn.commit ?? "",
        });
        break;
      }
      case "task_waiting":
        if (it && turn.parked) Object.assign(it, { state: "parked", ended: turn.time });
        if (turn.parked) {
          // The wait for an answer began with the question.
          const before = states.get(task);
          const since = !turn.until && before?.state === "waiting" ? before.since : turn.time;
          states.set(task, { state: turn.until ? "pending" : "waiting", since });
        }
        break;
      case "task_skipped":
        states.set(task, { state: "skipped", since: turn.time, reason: turn.reason ?? "" });
        break;
      case "task_reopened":
        states.set(task, { state: "pending", since: turn.time });
        epicStates.set(epic, "running");
        break;
      case "epic_finished":
        epicStates.set(epic, turn.outcome);
        break;
      case "run_finished":
        runState = turn.outcome;
        break;
      default:
        if (MERGE_STATES[turn.type] && turn.epic) epicStates.set(epic, MERGE_STATES[turn.type]);
        runState = RUN_STATES[turn.type] ?? runState;
    }
  }

  const tasks = [...now.tasks.values()].map((task): Task => {
    const attempt = attempts.get(task.name) ?? null;
    // So that clocks show the moment.
    if (attempt && !attempt.ended) attempt.ended = time;
    return {
      ...task,
      state: "pending",
      reason: "",
      commit: "",
      chosen: 0,
      score: null,
      ...states.get(task.name),
      attempts: attempt?.number ?? 0,
      attempt,
    };
  });
  const epics = [...now.epics.values()].map((epic): Epic => {
    const own = counts(tasks.filter((task) => task.epic === epic.name));
    const waits = epic.depends_on.some((key) => epicStates.get(`${run.name}/epics/${key}`) !== "succeeded");
    const state = epicStates.get(epic.name) ?? (waits ? "blocked" : "ready");
    return {
      ...epic,
      state,
      reason: "",
      moved: "",
      moved_at: null,
      tasks: own,
      usage: usages.get(epic.name) ?? nothing(),
      conflict_files: state === "conflicted" ? epic.conflict_files : [],
      sync: null,
    };
  });
  return {
    tasks,
    epics,
    run: {
      ...run,
      state: runState,
      reason: "",
      waits_for: "",
      tasks: counts(tasks),
      usage: usages.get(run.name) ?? nothing(),
      ended: time,
    },
  };
}

function counts(tasks: Task[]): TaskCounts {
  const all = { total: 0, pending: 0, running: 0, waiting: 0, accepted: 0, failed: 0, skipped: 0 };
  for (const { candidate, state } of tasks) {
    if (candidate || state === "passed") continue;
    all.total += 1;
    all[state] += 1;
  }
  return all;
}

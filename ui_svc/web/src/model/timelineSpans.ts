// The spans of attempts and merges from a run's events, and the critical path.

import type { Turn } from "./types";
import type { Stretch } from "./timelineScale";

export interface Span extends Stretch {
  key: string;
  kind: "attempt" | "merge" | "wait";
  attempt: string;
  epic: string;
  task: string;
  number: number;
  reason: string;
  outcome: string;
  // Open questions.
  asked: Set<string>;
  // When the session ended and its checks began.
  checked: number | null;
}

// Spans by key: an attempt's resource name; "merge EPIC"; or "wait ATTEMPT", while no session is there
// because the question of a parked one stands, or the provider wants to be left alone.
export function createSpans(run: string) {
  const spans = new Map<string, Span>();
  // By task: the key of the open wait.
  const parked = new Map<string, string>();

  const keyOf = (turn: Turn) => `${run}/epics/${turn.epic}/tasks/${turn.task}/attempts/${turn.attempt}`;

  function end(key: string | undefined, time: number, outcome: string) {
    const span = spans.get(key ?? "");
    if (!span || span.to) return;
    closeWaits(span, time);
    Object.assign(span, { to: time, outcome });
  }

  function unpark(turn: Turn) {
    const task = `${turn.epic} ${turn.task}`;
    end(parked.get(task), turn.time, "parked");
    parked.delete(task);
  }

  function closeWaits(span: Span, time: number) {
    span.asked.clear();
    const wait = span.waits[span.waits.length - 1];
    if (wait && !wait.to) wait.to = time;
  }

  function begin(key: string, kind: Span["kind"], turn: Turn, reason = "") {
    spans.set(key, {
      key,
      kind,
      attempt: kind === "merge" ? "" : keyOf(turn),
      epic: turn.epic,
      task: turn.task,
      number: turn.attempt,
      from: turn.time,
      to: null,
      reason,
      outcome: "running",
      waits: [],
      asked: new Set(),
      checked: null,
    });
  }

  function apply(turn: Turn): void {
    const key = keyOf(turn);
    const span = spans.get(key);
    switch (turn.type) {
      case "task_started":
        unpark(turn);
        return begin(key, "attempt", turn);
      case "approval_requested":
        if (!span) return;
        if (!span.asked.size) span.waits.push({ from: turn.time, to: null });
        return void span.asked.add(turn.approval_id);
      case "approval_resolved":
        unpark(turn);
        span?.asked.delete(turn.approval_id);
        if (span && !span.asked.size) closeWaits(span, turn.time);
        return;
      case "session_finished":
        if (!span || span.to) return;
        closeWaits(span, turn.time);
        return void (span.checked = turn.time);
      case "review_requested":
        return end(key, turn.time, "submitted");
      case "candidate_passed":
        return end(key, turn.time, "submitted");
      case "review_finished":
        return end(key, turn.time, "reviewed");
      case "task_accepted":
        return end(key, turn.time, "accepted");
      case "task_failed":
        unpark(turn);
        return end(key, turn.time, "failed");
      case "task_skipped":
        return unpark(turn);
      case "task_waiting":
        // Its session has ended; the next attempt continues it, or starts from scratch.
        if (!(turn.parked || turn.until) || !span) return;
        end(key, turn.time, "parked");
        parked.set(`${turn.epic} ${turn.task}`, `wait ${key}`);
        return begin(`wait ${key}`, "wait", turn, turn.parked && !turn.until ? "" : turn.reason);
      case "run_finished":
        return parked.forEach((wait) => end(wait, turn.time, "parked"));
      case "merge_started":
        return begin(`merge ${turn.epic}`, "merge", turn);
      case "merge_finished":
        return end(`merge ${turn.epic}`, turn.time, "accepted");
      case "merge_conflicted":
        return end(`merge ${turn.epic}`, turn.time, "failed");
      default:
    }
  }

  return { spans, apply };
}

// The chain of spans, back from the one that ended last or still runs, each of which the
// next one waited for: the previous one of its epic, else the last of a dependency.
// `dependsOn` gives an epic's keys, `left` how many of its tasks are not over.
export function criticalPath(
  spans: Span[],
  dependsOn: (epic: string) => string[],
  left: (epic: string) => number,
): Set<string> {
  const endOf = (span: Span) => span.to ?? Infinity;
  // Of the running ones, the one with the most tasks left after it.
  const isLater = (span: Span, best: Span) =>
    endOf(span) === endOf(best) ? left(span.epic) > left(best.epic) : endOf(span) > endOf(best);
  const latest = (some: Span[]) =>
    some.reduce<Span | null>((best, span) => (!best || isLater(span, best) ? span : best), null);
  const path = new Set<string>();
  for (let span = latest(spans); span && !path.has(span.key);) {
    path.add(span.key);
    const at: Span = span;
    const earlier = spans.filter((each) => each !== at && endOf(each) <= at.from);
    const own = earlier.filter((each) => each.epic === at.epic);
    const needed = dependsOn(at.epic);
    span = latest(own) ?? latest(earlier.filter((each) => needed.includes(each.epic)));
  }
  return path;
}

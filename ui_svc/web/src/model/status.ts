// Each state as a word, an icon and a tone: never by colour alone.

import type { Epic, Look, Task } from "./types";

const of = (word: string, icon: string, tone: string): Look => ({ word, icon, tone });

const pending = of("Pending", "circle", "quiet");

const skipped = of("Skipped", "skip", "quiet");

export const TASK: Record<string, Look> = {
  pending,
  running: of("Running", "spinner", "run"),
  waiting: of("Waiting for you", "hand", "wait"),
  accepted: of("Done", "check", "ok"),
  failed: of("Failed", "cross", "bad"),
  skipped,
  passed: of("Passed", "check", "run"),
};

export const ATTEMPT: Record<string, Look> = {
  starting: of("Starting", "spinner", "run"),
  running: of("Running", "spinner", "run"),
  waiting: of("Waiting for you", "hand", "wait"),
  checking: of("Checking", "shield", "run"),
  accepted: of("Done", "check", "ok"),
  failed: of("Failed", "cross", "bad"),
  stopped: of("Stopped", "stop", "bad"),
  lost: of("Lost", "broken", "bad"),
  // Its session has ended, and the next attempt continues it.
  parked: of("Paused for your answer", "pause", "wait"),
  // Its checks passed, and reviews decide about its work.
  submitted: of("In review", "search", "run"),
  reviewed: of("Reviewed", "check", "ok"),
  // It passed its checks, and another candidate was chosen.
  not_chosen: of("Not chosen", "minus", "quiet"),
};

// How an attempt of a task is shown: submitted work of a candidate waits for a choice, other work for its reviews.
export const attemptLook = (task: Pick<Task, "candidate"> | undefined, state: string): Look =>
  task?.candidate && state === "submitted" ? TASK.passed : status(ATTEMPT, state);

const DONE = of("Done", "check", "ok");

export const EPIC: Record<string, Look> = {
  blocked: of("Blocked", "lock", "quiet"),
  ready: of("Queued", "circle", "quiet"),
  running: of("Running", "spinner", "run"),
  merging: of("Merging", "merge", "run"),
  awaiting_merge: of("Awaiting your merge", "hand", "wait"),
  succeeded: of("Merged", "check", "ok"),
  failed: of("Failed", "cross", "bad"),
  conflicted: of("Merge conflict", "merge", "bad"),
  skipped,
  cancelled: of("Cancelled", "stop", "quiet"),
  dropped: of("Dropped", "stop", "quiet"),
};

// A branch that is left unmerged, as that of a draft, is done without a merge.
export const epicLook = (epic: Pick<Epic, "state" | "merge_commit">): Look =>
  epic.state === "succeeded" && !epic.merge_commit ? DONE : status(EPIC, epic.state);

export const RUN: Record<string, Look> = {
  pending,
  running: of("Running", "spinner", "run"),
  paused: of("Paused", "pause", "wait"),
  cancelling: of("Cancelling", "spinner", "wait"),
  succeeded: of("Succeeded", "check", "ok"),
  failed: of("Failed", "cross", "bad"),
  cancelled: of("Cancelled", "stop", "quiet"),
};

// The stage of a branch in the merge queue.
export const MERGE: Record<string, Look> = {
  working: of("Working", "circle", "quiet"),
  blocked: of("Blocked", "lock", "quiet"),
  queued: of("Queued", "circle", "quiet"),
  merging: of("Merging", "merge", "run"),
  conflicted: of("Conflict", "merge", "bad"),
  awaiting: of("Awaiting your merge", "hand", "wait"),
  resolving: of("Agent resolving", "spinner", "run"),
  merged: of("Merged", "check", "ok"),
  unmerged: of("Not merged", "stop", "quiet"),
};

const UNKNOWN = of("Unknown", "circle", "quiet");

export const status = (table: Record<string, Look>, state: string): Look => table[state] ?? UNKNOWN;

export const RUN_ENDED: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

export const ATTEMPT_LIVE: ReadonlySet<string> = new Set(["starting", "running", "waiting", "checking"]);

// The groups of the board, in the order of need.
export const GROUPS = [
  { key: "waiting", word: "Waiting for you", icon: "hand", tone: "wait" },
  { key: "failed", word: "Failed", icon: "cross", tone: "bad" },
  { key: "running", word: "Running", icon: "spinner", tone: "run" },
  { key: "queued", word: "Queued", icon: "circle", tone: "quiet" },
  { key: "done", word: "Done", icon: "check", tone: "ok" },
];

// Returns whether a started epic is idle: between two tasks, or because a budget stopped its sessions.
export const idle = (epic: Pick<Epic, "state">, tasks: Pick<Task, "state">[]): boolean =>
  epic.state === "running" && !tasks.some((task) => ["running", "waiting"].includes(task.state));

// New commits of the project's branch conflict with the epic, and no task of it starts.
export const CHOICE = of("Choose a candidate", "hand", "wait");

export const OUT_OF_SYNC = of("Needs your answer", "hand", "wait");

type Grouped = Pick<Epic, "state"> & Partial<Pick<Epic, "sync">>;

export function groupOf(epic: Grouped, tasks: Pick<Task, "state">[]): string {
  if (epic.sync?.state === "held") return "waiting";
  if (epic.state === "awaiting_merge" || tasks.some((task) => task.state === "waiting")) return "waiting";
  if (["failed", "conflicted"].includes(epic.state)) return "failed";
  if (idle(epic, tasks)) return "queued";
  if (["running", "merging"].includes(epic.state)) return "running";
  if (["ready", "blocked"].includes(epic.state)) return "queued";
  return "done";
}

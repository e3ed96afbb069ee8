// What the web app sends: ui_svc/views makes these of the messages of the API. Times are milliseconds since
// 1970, costs are millionths of a dollar, durations are seconds. An absent time is null.

export type RunState = "pending" | "running" | "paused" | "cancelling" | "succeeded" | "failed" | "cancelled";
export type EpicState =
  | "blocked"
  | "ready"
  | "running"
  | "merging"
  | "awaiting_merge"
  | "succeeded"
  | "failed"
  | "conflicted"
  | "skipped"
  | "cancelled"
  | "dropped";
// Only candidates are `passed`.
export type TaskState = "pending" | "running" | "waiting" | "accepted" | "failed" | "skipped" | "passed";
export type AttemptState =
  | "starting"
  | "running"
  | "waiting"
  | "checking"
  | "accepted"
  | "failed"
  | "stopped"
  | "lost"
  | "parked"
  | "submitted"
  | "reviewed"
  | "not_chosen";

export interface Usage {
  input: number;
  output: number;
  cache_read: number;
  cache_write: number;
  cost: number;
  // Whether a price is unknown.
  cost_incomplete: boolean;
  // The part that needed a table of prices.
  cost_estimated: number;
  models?: (Usage & { model: string })[];
}

// `unchanged`: accepted without a change.
export type TaskCounts = Record<Exclude<TaskState, "passed"> | "total", number> & { unchanged?: number };

export interface Forecast {
  remaining: number | null;
  at_least: number | null;
  // The part of `remaining` that starts only after the operator has acted; null if no epic waits.
  after_operator: number | null;
  critical_path?: string[];
  // How many tasks it was estimated from.
  measured: number;
  // When it was made.
  at: number;
}

export interface Run {
  name: string;
  title: string;
  state: RunState;
  // With what it waits for.
  reason: string;
  // Which worker or free slot it waits for; empty: none.
  waits_for: string;
  project: string;
  base_ref: string;
  base_commit: string;
  base_behind: { branch: string; upstream: string; commits: number } | null;
  // The branch that its epics can take in, with the number of missing commits by epic; null if none is behind.
  base: { branch: string; behind: Record<string, number> } | null;
  branch: string;
  merge_into: string;
  max_parallel: number;
  tasks: TaskCounts;
  epic_count: number;
  usage: Usage;
  created: number;
  started: number | null;
  ended: number | null;
  sequence: number;
  creator: string;
  fault: string;
  unpushed: { branch: string; error: string }[];
  budget: number | null;
  held_by: string;
  // What of its plan has no effect, and why; empty: nothing.
  remark: string;
  // What answers to questions allow in all of its later sessions; who and when are empty and null if unknown.
  granted: { rule: string; by: string; at: number | null }[];
  // Whether its agent drafts a plan.
  draft: boolean;
  // The run whose plan its draft changes; empty if it is no such draft.
  revises: string;
  forecast?: Forecast | null;
}

export interface Epic {
  name: string;
  key: string;
  title: string;
  index: number;
  state: EpicState;
  reason: string;
  // To which worker it last moved and why, as a sentence without a full stop, and when; empty and null: never.
  moved: string;
  moved_at: number | null;
  depends_on: string[];
  touches: string[];
  branch: string;
  worktree: string;
  slot: number;
  ports: number[];
  worker: string;
  head_commit: string;
  merge_commit: string;
  conflict_files: string[];
  // What it does about new commits of that branch; null: what its plan says.
  sync: { state: "requested" | "resolving" | "held" | "off"; branch: string; files: string[] } | null;
  tasks: TaskCounts;
  usage: Usage;
  started: number | null;
  ended: number | null;
}

export interface Check {
  name: string;
  command: string;
  ok: boolean;
  exit_code: number | null;
  seconds: number;
  tests: { passed: number; failed: number; skipped: number } | null;
  coverage: { covered: number; valid: number } | null;
  findings: { errors: number; warnings: number; notes: number } | null;
}

export interface Question {
  id: string;
  question: string;
  tool: string;
  target: string;
}

// A question as a card or an item has it.
export type Asked = Partial<Question>;

export interface Summary {
  attempt: string;
  state: AttemptState;
  tool: { id: string; name: string; target: string; kind: string } | null;
  lines: string[];
  tool_calls: number;
  tool_errors: number;
  screenshots: number;
  usage: Usage;
  waiting: Question | null;
  active: number | null;
  activity: number[];
  background: string[];
  context: { tokens: number; window: number };
}

export interface DiffStat {
  files: number;
  insertions: number;
  deletions: number;
}

// What an attempt that is a review found.
export interface Review {
  // The number of the attempt whose work it reviews.
  attempt: number;
  position: number;
  round: number;
  rounds: number;
  blocking: boolean;
  // Empty until its answer was read.
  verdict: "" | "passed" | "rejected";
  summary: string;
  findings: { file: string; line: number; severity: "error" | "warning" | "note"; text: string }[];
  // It compares the candidates of its task instead; `best` is the chosen one, 0: none yet.
  comparison?: { candidates: number[]; best: number; reason: string } | null;
}

export interface Attempt {
  name: string;
  state: AttemptState;
  reason: string;
  worker: string;
  agent: string;
  started: number | null;
  ended: number | null;
  commit: string;
  kept_ref: string;
  agent_session?: { id: string; command: string } | null;
  background_stopped?: string[];
  found_ref?: string;
  unfilled?: { path: string; reason: string }[];
  no_changes?: boolean;
  ignored?: { paths: string[]; count: number } | null;
  diff: DiffStat | null;
  usage: Usage;
  checks: Check[];
  // The differences from the epic's previously accepted task, of an attempt in full.
  since?: any;
  summary: Summary | null;
  session_sequence?: number;
  // Null: it works on the task.
  review?: Review | null;
  // The attempt of the chosen candidate whose work it took over, without a session. Empty: none.
  takes_over?: string;
}

export interface Task {
  name: string;
  epic: string;
  key: string;
  title: string;
  position: number;
  state: TaskState;
  reason: string;
  agent: string;
  attempts: number;
  commit: string;
  // Its number among the candidates of the task whose name is before the "@" in its own; 0: it is none.
  candidate: number;
  // How many candidates it is tried with, and the number of the chosen one; 0: none.
  candidates: number;
  chosen: number;
  // Null: it has none.
  score: number | null;
  attempt: Attempt | null;
  // When it entered its state, if that is known.
  since?: number | null;
}

// A kind of agent that a worker can start.
export interface Agent {
  name: string;
  // Its program was found.
  available: boolean;
  // It can work: nothing says that it is not logged in either.
  ready: boolean;
  version: string;
  // What was found, or what to do.
  detail: string;
}

export interface Worker {
  name: string;
  slots: number;
  running: number;
  connected: boolean;
  reason: string;
  // Whether this browser reaches the ports of its epics, if it is on the same machine.
  reachable: boolean;
  // Whether admins may open terminals in its worktrees.
  terminals: boolean;
  agents: Agent[];
}

// A provider that is on hold.
export interface Hold {
  provider: string;
  cause: string;
  reason: string;
  since: number | null;
  until: number | null;
  runs: string[];
  tasks: number;
}

// An item that waits for the operator.
export interface AttentionItem {
  key: string;
  kind: string;
  // It blocks work and cannot be dismissed.
  waits: boolean;
  run: string;
  run_title: string;
  title: string;
  time: number | null;
  epic?: string;
  epic_title?: string;
  task?: string;
  attempt?: string;
  reason?: string;
  saved?: string;
  provider?: string;
  of?: string;
  budget?: number;
  spent?: number;
  // Of a question.
  id?: string;
  question?: string;
  tool?: string;
  target?: string;
}

// An event of a log, with the fields of its kind.
export interface LogEvent {
  sequence: number;
  time: number;
  actor: string;
  type: string;
  // The entry of a session's log: level, speaker, words.
  log?: [string, string, string];
  [field: string]: any;
}

// An event of a run's log.
export interface Turn extends LogEvent {
  words: string;
  epic: string;
  task: string;
  attempt: number;
}

// How a state is shown.
export interface Look {
  word: string;
  icon: string;
  tone: string;
}

// Anything that has the epics and tasks of a run: live, or at a moment of a replay.
export interface RunParts {
  run: { value: Run | null };
  epics: ReadonlyMap<string, Epic>;
  tasks: ReadonlyMap<string, Task>;
}

// The draft of a plan that the form follows: what it says, and where it is kept over a reload.
import { plural } from "../model/format";

const KEPT = "heddle-goal";

export interface FoundDraft {
  run: { name: string; state: string; reason: string; project: string; tasks: any; usage: any };
  text: string;
  valid: boolean;
  reasons: string;
  problems: Remark[];
  warnings: Remark[];
  handovers: number;
  // The run whose plan it changes; empty if it is a new plan.
  revises: string;
  // What applies it to the plan of that run.
  revision: number;
  skip_failed_of: string;
}

export interface Remark {
  line: number;
  field: string;
  message: string;
}

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

export const hasEnded = (found: FoundDraft) => ENDED.has(found.run.state);

// Returns one line about how far a draft is.
export function progressOf({ run, valid, handovers, problems, text }: FoundDraft): string {
  if (run.state === "succeeded") return "The plan is drafted.";
  if (run.state === "cancelled") return valid ? "Stopped; there is a valid plan already." : "Stopped.";
  if (run.state === "failed")
    return text && problems.length
      ? "The draft failed: its last plan has errors."
      : `The draft failed: ${run.reason}`;
  if (run.state === "paused") return `Paused: ${run.reason || "resume it on its page"}`;
  if (run.tasks?.waiting) return "The agent asks you something.";
  if (!handovers)
    return run.state === "pending" ? "Waiting for a free agent…" : "The agent reads the repository…";
  return `The agent changes its plan (${plural(handovers, "answer")} so far)…`;
}

// Returns the goal and the run that the form follows: as the address asks (`?draft=RUN`), or else as they were kept.
export function readFollowed(search: string): { run: string; goal: string; asked: boolean } {
  let kept: { run?: string; goal?: string } = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    // A broken entry is ignored.
  }
  const asked = new URLSearchParams(search).get("draft");
  const named = asked && /^[\w-]+$/.test(asked) ? `runs/${asked}` : "";
  return { run: named || (kept.run ?? ""), goal: kept.goal ?? "", asked: !!named && named !== kept.run };
}

export function keepFollowed(run: string, goal: string): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ run, goal }));
  } catch {
    // Storage is full: the goal is only on the page.
  }
}

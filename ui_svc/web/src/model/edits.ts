// Plans and file changes, read from the input of tool calls.

import type { Line } from "./diffParse";

export interface Step {
  state: string;
  text: string;
}

const STEP = /^- \[([x> ])\] (.*)$/;

const STATES: Record<string, string> = { x: "done", ">": "doing", " ": "left" };

// Returns the steps of a checklist; null if the text is not one.
export function readPlan(text: string): Step[] | null {
  const steps = text.split("\n").map((line) => STEP.exec(line));
  return steps.every((step) => step !== null)
    ? steps.map(([, mark, what]) => ({ state: STATES[mark], text: what }))
    : null;
}

// What a call does and to what, as summaries and logs have it.
interface Call {
  type?: string;
  kind?: string;
  target?: string;
  name?: string;
}

// Returns the agent's open call. Checks begin after its last one, so a call whose end is not known is not open then.
export const openCall = (
  summary: { state: string; tool: Call | null } | null,
  ofLog: Call | undefined,
): Call | null => (summary?.state === "checking" ? null : (summary?.tool ?? ofLog ?? null));

// Returns the file that the call changes; empty for a command or any other call.
export const editedBy = (call: Call | null): string => (call?.kind === "edit" && call.target) || "";

// Returns the lines of a change as a diff's: from a unified diff, from "- OLD" and
// "+ NEW", or else from a text that is new as a whole.
export function editLines(call: { name: string; input?: string }): Line[] {
  const lines = (call.input ?? "").replace(/\n$/, "").split("\n");
  if (lines.some((line) => line.startsWith("@@ ")))
    return lines.filter((line) => !/^(---|\+\+\+) /.test(line)).map(unified);
  if (call.name === "Write" || !/^[-+] /.test(lines[0])) return lines.map((text) => row("add", text));
  let kind: Line["kind"] = "del";
  return lines.map((line) => {
    const mark = /^([-+]) /.exec(line);
    if (mark) kind = mark[1] === "+" ? "add" : "del";
    return row(kind, mark ? line.slice(2) : line);
  });
}

const row = (kind: Line["kind"], text: string): Line => ({ kind, text, from: "", to: "" });

function unified(line: string): Line {
  if (line.startsWith("@@ ")) return row("hunk", line);
  return row(line[0] === "+" ? "add" : line[0] === "-" ? "del" : "same", line.slice(1));
}

// Plans and file changes, read from the input of tool calls.

const STEP = /^- \[([x> ])\] (.*)$/;
const STATES = { x: "done", ">": "doing", " ": "left" };

// Returns the steps of a checklist; null if the text is not one.
export function readPlan(text) {
  const steps = text.split("\n").map((line) => STEP.exec(line));
  return steps.every(Boolean) ? steps.map(([, mark, what]) => ({ state: STATES[mark], text: what })) : null;
}

// Returns the lines of a change as a diff's: from a unified diff, from "- OLD" and
// "+ NEW", or else from a text that is new as a whole.
export function editLines(call) {
  const lines = (call.input ?? "").replace(/\n$/, "").split("\n");
  if (lines.some((line) => line.startsWith("@@ ")))
    return lines.filter((line) => !/^(---|\+\+\+) /.test(line)).map(unified);
  if (call.name === "Write" || !/^[-+] /.test(lines[0])) return lines.map((text) => row("add", text));
  let kind = "del";
  return lines.map((line) => {
    const mark = /^([-+]) /.exec(line);
    if (mark) kind = mark[1] === "+" ? "add" : "del";
    return row(kind, mark ? line.slice(2) : line);
  });
}

const row = (kind, text) => ({ kind, text, from: "", to: "" });

function unified(line) {
  if (line.startsWith("@@ ")) return row("hunk", line);
  return row({ "+": "add", "-": "del" }[line[0]] ?? "same", line.slice(1));
}

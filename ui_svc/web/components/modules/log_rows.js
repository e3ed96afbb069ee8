// A session's events as lines of its log. A line that arrives in pieces is one row.
import { bytes, took } from "./format.js";

export const LEVELS = [
  { key: "info", word: "Info" },
  { key: "tool", word: "Tools" },
  { key: "warning", word: "Warnings" },
  { key: "error", word: "Errors" },
  { key: "system", word: "System" },
];

const MESSAGE = { text: "says", thinking: "thinks", operator: "operator" };
// Empty lines between paragraphs tell nothing in a log.
const PROSE = new Set(Object.values(MESSAGE));
const STREAM = { stdout: ["info", "out"], stderr: ["warning", "err"], system: ["system", "heddle"] };

// Appends the rows of `events` to `rows`. Row keys grow with the log: SEQUENCE + place / 2^20.
// `calls` has the tool_started of each call that is known.
export function appendRows(rows, events, calls) {
  for (const event of events) {
    const nested = !!(event.parent_tool_call_id ?? calls.get(event.tool_call_id)?.parent_tool_call_id);
    for (const [level, who, text, open] of spoken(event, calls)) addText(rows, event, level, who, text, open, nested);
    const last = rows[rows.length - 1];
    if (event.type === "message" && event.last && last) last.open = false;
  }
  return rows;
}

// Joins two stretches of a log; the first ends where the second begins.
export function joinRows(earlier, later) {
  const last = earlier[earlier.length - 1];
  if (last?.open && later[0]?.stream === last.stream) {
    last.text += later[0].text;
    last.open = later[0].open;
    return earlier.concat(later.slice(1));
  }
  return earlier.concat(later);
}

// `nested`: a sub-agent says or does it.
function addText(rows, event, level, who, text, open, nested) {
  const stream = `${who} ${event.tool_call_id ?? ""} ${event.parent_tool_call_id ?? ""}`;
  const lines = text.split("\n");
  const whole = open && lines[lines.length - 1] === "";
  if (whole) lines.pop();
  lines.forEach((line, place) => {
    const last = rows[rows.length - 1];
    const isOpen = open && !whole && place === lines.length - 1;
    if (place === 0 && last?.open && last.stream === stream) {
      last.text += line;
      last.open = isOpen;
    } else if (line || isOpen || !PROSE.has(who)) {
      rows.push({ key: event.sequence + place / (1 << 20), time: event.time, level, who, text: line, stream, open: isOpen, call: event.tool_call_id, nested });
    }
  });
}

function* spoken(event, calls) {
  switch (event.type) {
    case "output": {
      const [level, who] = STREAM[event.stream] ?? STREAM.stdout;
      yield [level, who, event.text ?? "", true];
      break;
    }
    case "message":
      if (event.text) yield ["info", MESSAGE[event.kind] ?? "says", event.text, !event.last];
      break;
    case "session_started":
      yield ["system", "heddle", `Session started with ${event.agent ?? "an agent"}`];
      break;
    case "tool_started":
      yield ["tool", "tool", `${event.name} ${event.target ?? ""}`.trim()];
      break;
    case "tool_finished": {
      const name = calls.get(event.tool_call_id)?.name ?? "";
      yield [event.ok ? "tool" : "error", "tool", `${event.ok ? "✓" : "✗"} ${name} ${took(event.duration ?? 0)} ${event.result ?? ""}`.trim()];
      break;
    }
    case "setup_finished": {
      const failed = event.command ? `failed at ${event.command}` : "took too long";
      yield [event.ok ? "tool" : "error", "setup", `${event.ok ? "✓ ready" : `✗ ${failed}`} (${took(event.duration ?? 0)})`];
      break;
    }
    case "check_finished":
      yield [event.ok ? "tool" : "error", "check", `${event.ok ? "✓" : "✗"} ${event.name}: ${event.command ?? ""} (${took(event.duration ?? 0)})`];
      if (event.output) yield [event.ok ? "info" : "error", "check", event.output.replace(/\n$/, "")];
      break;
    case "output_left_out":
      yield ["warning", "heddle", `More output than a session stores (${bytes(event.limit_bytes)}): ${bytes(event.left_out_bytes)} are left out here${event.final ? "; the end follows" : " so far"}`];
      break;
    case "screenshot":
      yield ["tool", "shot", event.caption ?? "Screenshot"];
      break;
    case "usage":
      yield ["system", "usage", `${event.model ?? "model"}: ${event.input_tokens ?? 0} in, ${event.output_tokens ?? 0} out`];
      break;
    case "approval_requested":
      yield ["warning", "asks", event.question ?? ""];
      break;
    case "approval_resolved":
      yield ["system", "operator", [event.approved ? "Allowed" : "Denied", event.rule, event.message].filter(Boolean).join(" ")];
      break;
    case "session_silent":
      yield ["warning", "heddle", `Silent for ${took(event.silence ?? 0)}, at ${took(event.limit ?? 0)} it is stopped`];
      break;
    case "background_work":
      if (event.stopped?.length) yield ["warning", "heddle", `Stopped what still ran in the background: ${event.stopped.join("; ")}`];
      else if (event.running?.length) yield ["system", "heddle", `Waiting up to ${took(event.limit ?? 0)} for background tasks: ${event.running.join("; ")}`];
      else yield ["system", "heddle", "Nothing runs in the background any more"];
      break;
    case "agent_session":
      yield ["system", "heddle", `The agent's own session: ${event.command || event.id}`];
      break;
    case "surroundings_changed":
      yield ["warning", "heddle", `Outside of its worktree, by it or by somebody else, changed: ${event.paths.join(", ")}`];
      break;
    case "session_finished":
      yield [event.outcome === "succeeded" ? "system" : "error", "heddle", `Session ${event.outcome} ${event.reason ?? ""}`.trim()];
      break;
    default:
  }
}

// A session's events as lines of its log. A line that arrives in pieces is one row.

import type { LogEvent } from "./types";

export interface Row {
  // SEQUENCE + place / 2^20: grows with the log.
  key: number;
  time: number;
  level: string;
  who: string;
  text: string;
  stream: string;
  // Whether more of the line may come.
  open: boolean;
  call?: string;
  // A sub-agent says or does it.
  nested: boolean;
}

// The tool_started of each call that is known.
export type Calls = ReadonlyMap<string, LogEvent>;

// Level, speaker, text, and whether more of it may come.
type Spoken = [string, string, string, boolean];

export const LEVELS = [
  { key: "info", word: "Info" },
  { key: "tool", word: "Tools" },
  { key: "warning", word: "Warnings" },
  { key: "error", word: "Errors" },
  { key: "system", word: "System" },
];

// Appends the rows of `events` to `rows`.
export function appendRows(rows: Row[], events: LogEvent[], calls: Calls): Row[] {
  for (const event of events) {
    const nested = !!(event.parent_tool_call_id ?? calls.get(event.tool_call_id)?.parent_tool_call_id);
    for (const each of spoken(event, calls)) addText(rows, event, each, nested);
    const last = rows[rows.length - 1];
    if (event.type === "message" && event.last && last) last.open = false;
  }
  return rows;
}

// Joins two stretches of a log; the first ends where the second begins.
export function joinRows(earlier: Row[], later: Row[]): Row[] {
  const last = earlier[earlier.length - 1];
  if (last?.open && later[0]?.stream === last.stream) {
    last.text += later[0].text;
    last.open = later[0].open;
    return earlier.concat(later.slice(1));
  }
  return earlier.concat(later);
}

function addText(rows: Row[], event: LogEvent, [level, who, text, open]: Spoken, nested: boolean): void {
  const stream = `${who} ${event.tool_call_id ?? ""} ${event.parent_tool_call_id ?? ""}`;
  // The line end of a result ends its last line; it does not begin another.
  const lines = (open ? text : text.replace(/\n+$/, "")).split("\n");
  const whole = open && lines[lines.length - 1] === "";
  if (whole) lines.pop();
  lines.forEach((line, place) => {
    const last = rows[rows.length - 1];
    const isOpen = open && !whole && place === lines.length - 1;
    if (place === 0 && last?.open && last.stream === stream) {
      last.text += line;
      last.open = isOpen;
    } else if (line || isOpen || event.type !== "message") {
      // Empty lines between paragraphs tell nothing in a log.
      rows.push({
        key: event.sequence + place / (1 << 20),
        time: event.time,
        level,
        who,
        text: line,
        stream,
        open: isOpen,
        call: event.tool_call_id,
        nested,
      });
    }
  });
}

// The server says level, speaker and words; long texts are fields of the event.
function* spoken(event: LogEvent, calls: Calls): Generator<Spoken> {
  const [level, who, words] = event.log ?? ["", "", ""];
  switch (event.type) {
    case "output":
      yield [level, who, event.text ?? "", true];
      break;
    case "message":
      if (event.text) yield [level, who, event.text, !event.last];
      break;
    case "tool_finished":
      yield [
        level,
        who,
        [calls.get(event.tool_call_id)?.name, words, event.result].filter(Boolean).join(" "),
        false,
      ];
      break;
    case "check_finished":
      yield [level, who, words, false];
      if (event.command) yield [level, who, `$ ${event.command}`, false];
      if (event.output) yield [event.ok ? "info" : "error", who, event.output, false];
      break;
    default:
      if (words) yield [level, who, words, false];
  }
}

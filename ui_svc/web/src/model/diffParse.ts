// A diff as `git diff` writes it, as files with lines.

// `from` and `to` are the line's numbers before and after the change; empty where it has none.
export interface Line {
  kind: "hunk" | "add" | "del" | "same";
  text: string;
  from: number | "";
  to: number | "";
  // Before, changed, after: where it replaces a similar line.
  parts?: [string, string, string];
}

export interface ChangedFile {
  name: string;
  // Its name before a rename.
  was: string;
  note: string;
  lines: Line[];
  added: number;
  removed: number;
  inHunk: boolean;
}

// A row of two columns.
export interface Pair {
  left: Line | null;
  right: Line | null;
}

// Git writes unusual names in quotes, with their bytes in octal.
function unquoted(name: string): string {
  if (!name.startsWith('"')) return name.replace(/\t$/, "");
  const bytes: number[] = [];
  const escapes: Record<string, number> = { n: 10, t: 9, r: 13, '"': 34, "\\": 92, a: 7, b: 8, f: 12, v: 11 };
  const inner = name.slice(1, name.lastIndexOf('"'));
  for (let at = 0; at < inner.length;) {
    const octal = /^\\([0-7]{3})/.exec(inner.slice(at, at + 4));
    if (octal) bytes.push(parseInt(octal[1], 8));
    else if (inner[at] === "\\") bytes.push(escapes[inner[at + 1]] ?? 63);
    else bytes.push(...new TextEncoder().encode(String.fromCodePoint(inner.codePointAt(at) ?? 0)));
    at += octal ? 4 : inner[at] === "\\" ? 2 : String.fromCodePoint(inner.codePointAt(at) ?? 0).length;
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

// "a/NAME b/NAME": without a rename both halves are the same.
function nameOf(head: string): string {
  if (head.startsWith('"')) return unquoted(head.slice(head.lastIndexOf(' "') + 1)).slice(2);
  const half = (head.length - 1) / 2;
  if (head[half] === " ") return head.slice(2, half);
  return head.slice(head.lastIndexOf(" b/") + 3);
}

export function parseDiff(text: string): ChangedFile[] {
  const files: ChangedFile[] = [];
  let file: ChangedFile | null = null;
  let from = 0;
  let to = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith("diff --git ")) {
      file = {
        name: nameOf(line.slice(11)),
        was: "",
        note: "",
        lines: [],
        added: 0,
        removed: 0,
        inHunk: false,
      };
      files.push(file);
      continue;
    }
    if (!file) continue;
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)/.exec(line);
    if (hunk) {
      file.inHunk = true;
      [from, to] = [Number(hunk[1]), Number(hunk[2])];
      file.lines.push({ kind: "hunk", text: line, from: "", to: "" });
    } else if (!file.inHunk) {
      if (line.startsWith("rename from ")) file.was = unquoted(line.slice(12));
      else if (line.startsWith("rename to ")) file.name = unquoted(line.slice(10));
      else if (line.startsWith("new file")) file.note = "new";
      else if (line.startsWith("deleted file")) file.note = "deleted";
      else if (/^(Binary files|GIT binary patch)/.test(line))
        file.note = file.note ? `${file.note}, binary` : "binary";
    } else if (line.startsWith("+")) {
      file.added += 1;
      file.lines.push({ kind: "add", text: line.slice(1), from: "", to: to++ });
    } else if (line.startsWith("-")) {
      file.removed += 1;
      file.lines.push({ kind: "del", text: line.slice(1), from: from++, to: "" });
    } else if (line.startsWith(" ")) {
      file.lines.push({ kind: "same", text: line.slice(1), from: from++, to: to++ });
    } else if (line.startsWith("\\")) {
      file.lines.push({ kind: "hunk", text: line.slice(2), from: "", to: "" });
    }
  }
  return files;
}

// Rows for two columns: a removed line is next to the line that replaces it.
export function sideBySide(lines: Line[]): Pair[] {
  const rows: Pair[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    if (line.kind !== "del" && line.kind !== "add") {
      rows.push({ left: line, right: line });
      at += 1;
      continue;
    }
    const removed = run(lines, at, "del");
    const added = run(lines, at + removed.length, "add");
    for (let place = 0; place < Math.max(removed.length, added.length); place += 1) {
      rows.push({ left: removed[place] ?? null, right: added[place] ?? null });
    }
    at += removed.length + added.length;
  }
  return rows;
}

// The lines of each side of each hunk, in order: those before the change, and those after it.
export function sidesOf(lines: Line[]): Line[][] {
  const sides: Line[][] = [];
  let [before, after]: Line[][] = [[], []];
  const end = () => {
    // Unchanged lines take their colours from the side that comes last.
    sides.push(...[before, after].filter((side) => side.length));
    [before, after] = [[], []];
  };
  for (const line of lines) {
    if (line.kind === "hunk") end();
    else {
      if (line.kind !== "add") before.push(line);
      if (line.kind !== "del") after.push(line);
    }
  }
  end();
  return sides;
}

// Marks the difference within lines that replace each other: `parts` is before, changed, after.
export function markWords(lines: Line[]): Line[] {
  for (let at = 0; at < lines.length;) {
    const removed = run(lines, at, "del");
    const added = run(lines, at + removed.length, "add");
    if (removed.length && removed.length === added.length)
      removed.forEach((line, place) => compare(line, added[place]));
    at += removed.length + added.length || 1;
  }
  return lines;
}

function run(lines: Line[], from: number, kind: Line["kind"]): Line[] {
  let to = from;
  while (lines[to]?.kind === kind) to += 1;
  return lines.slice(from, to);
}

function compare(one: Line, other: Line): void {
  const [a, b] = [one.text, other.text];
  const most = Math.min(a.length, b.length);
  let head = 0;
  while (head < most && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < most - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  // Lines that share little are treated as unrelated.
  if (head + tail < most / 3) return;
  for (const line of [one, other]) {
    const end = line.text.length - tail;
    line.parts = [line.text.slice(0, head), line.text.slice(head, end), line.text.slice(end)];
  }
}

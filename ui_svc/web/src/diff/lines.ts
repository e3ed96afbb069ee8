// The change of some files, one below the other or side by side.
import { h, inject, type FunctionalComponent, type VNode } from "vue";
import { markWords, parseDiff, sideBySide, type ChangedFile, type Line, type Pair } from "../model/diffParse";
import { elements } from "../browser/elements";
import { piecesOf, type Token } from "../code/tokens";
import { plain } from "../model/text";
import type { LineNotes } from "../stores/lineNotes";
import NoteRow from "./NoteRow.vue";

// `folded`: whether it is folded at first.
export type ShownFile = ChangedFile & { folded: boolean };

type Button = VNode | null;

// A longer file is folded at first, as are all files after this many lines.
const OPEN_LINES = 400;

const MOST_LINES = 4000;

// A longer line is cut.
const MOST_CHARACTERS = 2000;

export function readFiles(text: string): ShownFile[] {
  let lines = 0;
  return parseDiff(text).map((file) => {
    lines += file.lines.length;
    return { ...file, folded: file.lines.length > OPEN_LINES || lines > MOST_LINES };
  });
}

const cut = (text: string) =>
  plain(text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text);

// The colours of a line's code, by line; lines without any have the colour of text.
export type Colours = Map<Line, Token[]>;

function content(line: Line, colours: Colours | null) {
  const tokens = colours?.get(line);
  if (!tokens && !line.parts) return cut(line.text);
  return piecesOf(line.text, tokens, line.parts).map(({ text, kind, changed }) => {
    const shown = kind ? h("span", { class: `hl-${kind}` }, cut(text)) : cut(text);
    return changed ? h("mark", [shown]) : shown;
  });
}

const MARKS: Record<string, string> = { add: "+", del: "−" };

const MARK_WORDS: Record<string, string> = { add: "added", del: "removed" };

// For a change whose position in the file is not known.
const bare = (line: Line, key: number, colours: Colours | null) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line, colours)),
  ]);

// `button` comments on the line; absent where comments are not possible.
const unified = (line: Line, key: number, button: Button, colours: Colours | null) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "num" }, line.from),
    h("td", { class: "num" }, [button, line.to]),
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line, colours)),
  ]);

function split({ left, right }: Pair, key: number, buttons: [Button, Button], colours: Colours | null) {
  if (left?.kind === "hunk")
    return h("tr", { key, class: "diff-hunk" }, [
      h("td", { colspan: 4, class: "diff-text" }, cut(left.text)),
    ]);
  const half = (line: Line | null, number: "from" | "to", button: Button) => [
    h("td", { class: ["num", line ? `diff-${line.kind}` : "diff-none"] }, line ? [button, line[number]] : ""),
    h(
      "td",
      { class: ["diff-text", line ? `diff-${line.kind}` : "diff-none"] },
      line ? content(line, colours) : "",
    ),
  ];
  return h("tr", { key }, [...half(left, "from", buttons[0]), ...half(right, "to", buttons[1])]);
}

// A button before the line's number, and the comments on the line below it.
function commenting(notes: LineNotes, file: string) {
  const button = (line: Line | null): Button => {
    if (!line || line.kind === "hunk") return null;
    return h(
      "button",
      {
        type: "button",
        class: "line-comment",
        tabindex: -1,
        "aria-label": `Comment on line ${line.to || line.from}`,
        onClick: () => notes.begin(file, line),
      },
      "+",
    );
  };
  function below(lines: Line[], key: number): VNode[] {
    const rows = lines.flatMap((line) =>
      notes.at(file, line).map((note) => h(NoteRow, { key: note.id, notes, note })),
    );
    if (lines.some((line) => notes.isDrafted(file, line))) rows.push(h(NoteRow, { key: "draft", notes }));
    return rows.length
      ? [h("tr", { key: `notes ${key}`, class: "note-row" }, h("td", { colspan: 4 }, rows))]
      : [];
  }
  return { button, below };
}

function rowsOf(
  lines: Line[],
  view: string | undefined,
  notes: LineNotes | null,
  colours: Colours | null,
  file?: string,
): VNode[] {
  const { button, below } = notes && file ? commenting(notes, file) : { button: () => null, below: () => [] };
  if (view === "plain") return lines.map((line, key) => bare(line, key, colours));
  if (view !== "split")
    return lines.flatMap((line, key) => [unified(line, key, button(line), colours), ...below([line], key)]);
  return sideBySide(lines).flatMap((row, key) => {
    const { left, right } = row;
    // An unchanged line is on both sides; comments belong to the new one.
    const same = left === right;
    return [
      split(row, key, [same ? null : button(left), button(right)], colours),
      ...below(same ? [right!] : [left, right].filter((line) => line !== null), key),
    ];
  });
}

// Tab reaches the first button of a file; the arrow keys reach the others.
function onArrow(event: KeyboardEvent) {
  const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  const from = event.target as HTMLElement;
  if (!by || !from.matches(".line-comment")) return;
  const all = elements(".line-comment", event.currentTarget as HTMLElement);
  all[all.indexOf(from) + by]?.focus();
  event.preventDefault();
}

const reachable = (node: VNode) =>
  (node.el as Element).querySelector(".line-comment")?.setAttribute("tabindex", "0");

// `view` is plain, split or unified; comments need the `file`.
export const Lines: FunctionalComponent<{
  lines: Line[];
  view?: string;
  file?: string;
  colours?: Colours | null;
}> = ({ lines, view, file, colours = null }) => {
  const notes = inject<LineNotes | null>("lineNotes", null);
  const rows = rowsOf(markWords(lines), view, notes, colours, file);
  // Both columns have the same width, whatever their lines are.
  const columns =
    view === "split"
      ? h(
          "colgroup",
          ["46px", "", "46px", ""].map((width) => h("col", { style: { width } })),
        )
      : null;
  return h(
    "table",
    {
      class: `diff-${view ?? "unified"}`,
      onKeydown: notes ? onArrow : undefined,
      onVnodeMounted: notes ? reachable : undefined,
    },
    [columns, h("tbody", rows)],
  );
};

Lines.props = ["lines", "view", "file", "colours"];

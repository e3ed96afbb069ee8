// The change of some files, one below the other or side by side.
import { h, inject, reactive } from "vue";
import { markWords, parseDiff, sideBySide } from "./diff_parse.js";
import { NoteRow } from "./note_row.js";
import { plain } from "./text.js";

// A longer file is folded at first, as are all files after this many lines.
const OPEN_LINES = 400;
const MOST_LINES = 4000;
// A longer line is cut.
const LINE = 2000;

// Returns the files with `folded`: whether they are folded at first.
export function readFiles(text) {
  let lines = 0;
  return parseDiff(text).map((file) => {
    lines += file.lines.length;
    return { ...file, folded: file.lines.length > OPEN_LINES || lines > MOST_LINES };
  });
}

const cut = (text) => plain(text.length > LINE ? `${text.slice(0, LINE)}…` : text);

function content(line) {
  if (!line.parts) return cut(line.text);
  const [before, changed, behind] = line.parts;
  return [cut(before), h("mark", cut(changed)), cut(behind)];
}

const MARKS = { add: "+", del: "−" };
const MARK_WORDS = { add: "added", del: "removed" };

// For a change whose position in the file is not known.
const bare = (line, key) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line)),
  ]);

// `button` comments on the line; absent where comments are not possible.
const unified = (line, key, button) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "num" }, line.from),
    h("td", { class: "num" }, [button, line.to]),
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line)),
  ]);

function split({ left, right }, key, buttonLeft, buttonRight) {
  if (left?.kind === "hunk")
    return h("tr", { key, class: "diff-hunk" }, [
      h("td", { colspan: 4, class: "diff-text" }, cut(left.text)),
    ]);
  const half = (line, number, button) => [
    h("td", { class: ["num", line ? `diff-${line.kind}` : "diff-none"] }, line ? [button, line[number]] : ""),
    h("td", { class: ["diff-text", line ? `diff-${line.kind}` : "diff-none"] }, line ? content(line) : ""),
  ];
  return h("tr", { key }, [...half(left, "from", buttonLeft), ...half(right, "to", buttonRight)]);
}

// A button before the line's number, and the comments on the line below it.
function commenting(notes, file) {
  const button = (line) =>
    line &&
    line.kind !== "hunk" &&
    h(
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
  function below(lines, key) {
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

function rowsOf(lines, view, notes, file) {
  const { button, below } = notes && file ? commenting(notes, file) : { button: () => null, below: () => [] };
  if (view === "plain") return lines.map(bare);
  if (view !== "split")
    return lines.flatMap((line, key) => [unified(line, key, button(line)), ...below([line], key)]);
  return sideBySide(lines).flatMap((row, key) => {
    const { left, right } = row;
    // An unchanged line is on both sides; comments belong to the new one.
    const same = left === right;
    return [
      split(row, key, same ? null : button(left), button(right)),
      ...below(same ? [right] : [left, right].filter(Boolean), key),
    ];
  });
}

// Tab reaches the first button of a file; the arrow keys reach the others.
function onArrow(event) {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !event.target.matches(".line-comment")) return;
  const all = [...event.currentTarget.querySelectorAll(".line-comment")];
  all[all.indexOf(event.target) + by]?.focus();
  event.preventDefault();
}

const reachable = (node) => node.el.querySelector(".line-comment")?.setAttribute("tabindex", "0");

export const Lines = ({ lines, view, file }) => {
  const notes = inject("lineNotes", null);
  const rows = rowsOf(markWords(lines), view, notes, file);
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
    { class: `diff-${view ?? "unified"}`, onKeydown: notes && onArrow, onVnodeMounted: notes && reachable },
    [columns, h("tbody", rows)],
  );
};
Lines.props = ["lines", "view", "file"];

export const Diff = {
  props: ["files", "truncated", "view"],
  components: { Lines },
  template: /* HTML */ ` <p v-if="!files.length" class="quiet">Nothing was changed.</p>
    <details
      v-for="file in files"
      :key="file.name"
      class="diff-file"
      :data-file="file.name"
      :open="isOpen(file)"
      @toggle="toggled.set(file.name, $event.target.open)"
    >
      <summary>
        <code><template v-if="file.was">{{ plain(file.was) }} → </template>{{ plain(file.name) }}</code
        ><span v-if="file.note" class="quiet">{{ file.note }}</span><span class="grow"></span
        ><span v-if="file.folded && !isOpen(file)" class="quiet">large, folded</span
        ><span class="num diff"><ins>+{{ file.added }}</ins> <del>−{{ file.removed }}</del></span>
      </summary>
      <div
        v-if="isOpen(file) && file.lines.length"
        class="diff-scroll"
        tabindex="0"
        role="group"
        :aria-label="'Change of ' + file.name"
      >
        <Lines :lines="file.lines" :view="view" :file="file.name" />
      </div>
      <p v-else-if="isOpen(file)" class="quiet diff-nothing">There are no lines to show.</p>
    </details>
    <p v-if="truncated" class="note">
      The change is longer than this page shows. Use git to see all of it.
    </p>`,
  setup() {
    const toggled = reactive(new Map());
    return { isOpen: (file) => toggled.get(file.name) ?? !file.folded, plain, toggled };
  },
};

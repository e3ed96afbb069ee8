// The change of some files, one below the other or side by side.
import { h, reactive } from "vue";
import { markWords, parseDiff, sideBySide } from "./diff_parse.js";
import { plain } from "./text.js";

// A longer file is folded until it is asked for, and all that stand behind so many lines.
const OPEN_LINES = 400;
const MOST_LINES = 4000;
// A longer line is cut.
const LINE = 2000;

// Returns the files with `folded` where they should be at first.
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

// Of a change whose place in the file is not known.
const bare = (line, key) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line)),
  ]);

const unified = (line, key) =>
  h("tr", { key, class: `diff-${line.kind}` }, [
    h("td", { class: "num" }, line.from),
    h("td", { class: "num" }, line.to),
    h("td", { class: "diff-mark", "aria-label": MARK_WORDS[line.kind] }, MARKS[line.kind]),
    h("td", { class: "diff-text" }, content(line)),
  ]);

function split({ left, right }, key) {
  if (left?.kind === "hunk") return h("tr", { key, class: "diff-hunk" }, [h("td", { colspan: 4, class: "diff-text" }, cut(left.text))]);
  const half = (line, number) => [
    h("td", { class: ["num", line ? `diff-${line.kind}` : "diff-none"] }, line ? line[number] : ""),
    h("td", { class: ["diff-text", line ? `diff-${line.kind}` : "diff-none"] }, line ? content(line) : ""),
  ];
  return h("tr", { key }, [...half(left, "from"), ...half(right, "to")]);
}

export const Lines = ({ lines, view }) => {
  const marked = markWords(lines);
  const rows = view === "split" ? sideBySide(marked).map(split) : marked.map(view === "plain" ? bare : unified);
  // Two columns are equally wide, whatever their lines.
  const columns = view === "split" ? h("colgroup", ["46px", "", "46px", ""].map((width) => h("col", { style: { width } }))) : null;
  return h("table", { class: `diff-${view ?? "unified"}` }, [columns, h("tbody", rows)]);
};
Lines.props = ["lines", "view"];

export const Diff = {
  props: ["files", "truncated", "view"],
  components: { Lines },
  template: `
    <p v-if="!files.length" class="quiet">Nothing was changed.</p>
    <details v-for="file in files" :key="file.name" class="diff-file" :data-file="file.name" :open="isOpen(file)" @toggle="toggled.set(file.name, $event.target.open)">
      <summary><code><template v-if="file.was">{{ plain(file.was) }} → </template>{{ plain(file.name) }}</code><span v-if="file.note" class="quiet">{{ file.note }}</span><span class="grow"></span><span v-if="file.folded && !isOpen(file)" class="quiet">large, folded</span><span class="num diff"><ins>+{{ file.added }}</ins> <del>−{{ file.removed }}</del></span></summary>
      <div v-if="isOpen(file) && file.lines.length" class="diff-scroll" tabindex="0" role="group" :aria-label="'Change of ' + file.name"><Lines :lines="file.lines" :view="view" /></div>
      <p v-else-if="isOpen(file)" class="quiet diff-nothing">There are no lines to show.</p>
    </details>
    <p v-if="truncated" class="note">The change is longer than this page shows. Look at it with git.</p>`,
  setup() {
    const toggled = reactive(new Map());
    return { isOpen: (file) => toggled.get(file.name) ?? !file.folded, plain, toggled };
  },
};

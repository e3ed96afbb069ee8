// A unified diff, file by file.
import { computed } from "vue";
import { plain } from "./text.js";

// A longer file is folded until it is asked for.
const OPEN_LINES = 400;

function parse(text) {
  const files = [];
  let from = 0;
  let to = 0;
  for (const line of text.split("\n")) {
    const head = /^diff --git a\/(.*) b\/(.*)$/.exec(line);
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (head) files.push({ name: head[2], lines: [], added: 0, removed: 0, inHunk: false });
    const file = files[files.length - 1];
    if (!file || head) continue;
    if (hunk) {
      file.inHunk = true;
      [from, to] = [Number(hunk[1]), Number(hunk[2])];
      file.lines.push({ kind: "hunk", text: line, from: "", to: "" });
    } else if (file.inHunk && line.startsWith("+")) {
      file.added += 1;
      file.lines.push({ kind: "add", text: line.slice(1), from: "", to: to++ });
    } else if (file.inHunk && line.startsWith("-")) {
      file.removed += 1;
      file.lines.push({ kind: "del", text: line.slice(1), from: from++, to: "" });
    } else if (file.inHunk && line.startsWith(" ")) {
      file.lines.push({ kind: "same", text: line.slice(1), from: from++, to: to++ });
    } else if (/^(Binary|rename|new file|deleted file|similarity|\\)/.test(line)) {
      file.lines.push({ kind: "hunk", text: line, from: "", to: "" });
    }
  }
  return files;
}

export const Diff = {
  props: ["text", "truncated"],
  template: `
    <p v-if="!files.length" class="quiet">Nothing was changed.</p>
    <details v-for="file in files" :key="file.name" class="diff-file" :open="file.lines.length <= OPEN_LINES">
      <summary><code>{{ plain(file.name) }}</code><span class="num diff"><ins>+{{ file.added }}</ins> <del>−{{ file.removed }}</del></span></summary>
      <div class="diff-scroll" tabindex="0" :aria-label="'Change of ' + file.name"><table><tbody>
        <tr v-for="(line, place) in file.lines" :key="place" :class="'diff-' + line.kind"><td class="num">{{ line.from }}</td><td class="num">{{ line.to }}</td><td class="diff-mark">{{ line.kind === "add" ? "+" : line.kind === "del" ? "−" : "" }}</td><td class="diff-text">{{ plain(line.text) }}</td></tr>
      </tbody></table></div>
    </details>
    <p v-if="truncated" class="note">The change is longer than this page shows. Look at it with git.</p>`,
  setup: (props) => ({ OPEN_LINES, plain, files: computed(() => parse(props.text)) }),
};

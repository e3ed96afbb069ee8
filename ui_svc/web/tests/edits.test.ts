import { assert, beforeAll, test } from "vitest";
import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import { editedBy, openCall } from "../src/model/edits";
import PlanAndFile from "../src/session/PlanAndFile.vue";

const EDIT = { kind: "edit", name: "Edit", target: "rank.py" };
const BASH = { kind: "execute", name: "Bash", target: "rank.py" };

// [about, summary, open call of the log, the file that is being edited]
const CASES: any[] = [
  ["an open edit", { state: "running", tool: EDIT }, undefined, "rank.py"],
  ["a command that names the file", { state: "running", tool: BASH }, undefined, ""],
  ["a command after an edit whose end was not told", { state: "running", tool: BASH }, EDIT, ""],
  ["between two calls", { state: "running", tool: null }, undefined, ""],
  ["checks", { state: "checking", tool: null }, undefined, ""],
  ["checks after an edit whose end was not told", { state: "checking", tool: EDIT }, EDIT, ""],
  ["an open edit in a replay", null, EDIT, "rank.py"],
  ["a command in a replay", null, BASH, ""],
];

beforeAll(() => {
  class IntersectionObserver {
    observe() {}
    disconnect() {}
  }
  Object.assign(globalThis, { IntersectionObserver, matchMedia: () => ({ matches: true }) });
});

for (const [about, summary, ofLog, file] of CASES) {
  test(`${about}: the file is ${file ? "being edited" : "the one edited last"}`, async () => {
    const target = editedBy(openCall(summary, ofLog));
    assert.strictEqual(target, file);
    const latest = {
      plan: null,
      edits: [{ type: "tool_started", name: "Edit", target: "rank.py", input: "" }],
    };
    const shown = await renderToString(createSSRApp(PlanAndFile, { latest, live: true, target } as any));
    assert.include(shown, file ? ">Editing<" : ">Edited last<");
  });
}

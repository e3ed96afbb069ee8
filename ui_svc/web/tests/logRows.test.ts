import { assert, test } from "vitest";

import { appendRows } from "../src/model/logRows";

const log = ["tool", "tool", "✓ done in 0.3s"];
const rows = (event: object) =>
  appendRows([], [{ sequence: 7, time: 1, tool_call_id: "a", log, ...event } as any], new Map()).map(
    ({ text, open }) => [text, open],
  );

test("the line end of a result or output is no empty row; empty lines within it are rows", () => {
  assert.deepEqual(rows({ type: "tool_finished", result: "1 passed\n" }), [
    ["✓ done in 0.3s 1 passed", false],
  ]);
  assert.deepEqual(rows({ type: "tool_finished", result: "a\n\nb\n\n" }), [
    ["✓ done in 0.3s a", false],
    ["", false],
    ["b", false],
  ]);
  assert.deepEqual(rows({ type: "check_finished", ok: true, output: "fine\n" }), [
    ["✓ done in 0.3s", false],
    ["fine", false],
  ]);
  // Output arrives in pieces: only an unfinished line can be continued.
  assert.deepEqual(rows({ type: "output", text: "one\ntwo" }), [
    ["one", false],
    ["two", true],
  ]);
  assert.deepEqual(rows({ type: "output", text: "one\n" }), [["one", false]]);
});

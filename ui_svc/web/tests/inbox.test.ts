import { assert, test } from "vitest";
import { grouped } from "../src/frame/inbox";

const item = (run: string, kind: string, key: string): any => ({
  run,
  run_title: run.toUpperCase(),
  kind,
  key,
});

test("items of one run and kind are one group, which stands where its first item does", () => {
  const found = grouped([
    item("a", "question", "1"),
    item("b", "question", "2"),
    item("a", "question", "3"),
    item("a", "budget", "4"),
  ]);
  assert.deepEqual(
    found.map((group) => [group.run, group.kind, group.items.map((each) => each.key).join()]),
    [
      ["A", "question", "1,3"],
      ["B", "question", "2"],
      ["A", "budget", "4"],
    ],
  );
});

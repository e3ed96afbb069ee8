import { assert, test } from "vitest";
import { parseDiff } from "../src/model/diffParse";
import { pairFiles } from "../src/model/pairedFiles";

const change = (name: string, line: string) =>
  `diff --git a/${name} b/${name}\n@@ -1,1 +1,2 @@\n same\n+${line}\n`;

test("each file is next to its counterpart, and what differs comes first", () => {
  const left = parseDiff(change("a", "equal") + change("b", "left") + change("c", "only"));
  const right = parseDiff(change("d", "other") + change("b", "right") + change("a", "equal"));
  assert.deepEqual(
    pairFiles(left, right).map(({ name, left, right, same }) => [name, left?.name, right?.name, same]),
    [
      ["b", "b", "b", false],
      ["c", "c", undefined, false],
      ["d", undefined, "d", false],
      ["a", "a", "a", true],
    ],
  );
});

test("a file with the same lines under another earlier name differs", () => {
  const rename = (was: string) => `diff --git a/${was} b/new\nrename from ${was}\nrename to new\n`;
  assert.isFalse(pairFiles(parseDiff(rename("one")), parseDiff(rename("two")))[0].same);
  assert.isTrue(pairFiles(parseDiff(rename("one")), parseDiff(rename("one")))[0].same);
});

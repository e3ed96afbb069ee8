import { assert, test } from "vitest";
import { markWords, parseDiff, sideBySide, sidesOf } from "../src/model/diffParse";

const changed = (before: string, after: string): any[] => [
  { kind: "del", text: before },
  { kind: "add", text: after },
];

// [before, after, the parts of each: what both begin with, what differs, what both end with]
const WORDS: any[] = [
  ["aaaa", "aaaaaa", ["aaaa", "", ""], ["aaaa", "aa", ""]],
  ["aaaaaa", "aaaa", ["aaaa", "aa", ""], ["aaaa", "", ""]],
  ["one two", "one three", ["one t", "wo", ""], ["one t", "hree", ""]],
  ["f(a, b)", "f(a, c, b)", ["f(a, ", "", "b)"], ["f(a, ", "c, ", "b)"]],
];

for (const [before, after, one, other] of WORDS) {
  test(`"${before}" → "${after}": no character belongs to both ends`, () => {
    const lines = markWords(changed(before, after));
    assert.deepEqual([lines[0].parts, lines[1].parts], [one, other]);
    for (const line of lines) assert.strictEqual(line.parts?.join(""), line.text);
  });
}

test("lines that share less than a third are two lines", () => {
  assert.strictEqual(markWords(changed("abcdefghi", "ab1234567"))[0].parts, undefined);
  assert.deepEqual(markWords(changed("abcdefghi", "abc123456"))[0].parts, ["abc", "defghi", ""]);
});

test("only as many removed as added lines are compared", () => {
  const lines = markWords([...changed("same a", "same b"), { kind: "add", text: "same c" }]);
  assert.ok(lines.every((line) => line.parts === undefined));
});

test("line numbers count on each side alone, from where the hunk begins", () => {
  const [file] = parseDiff("diff --git a/x b/x\n@@ -3,3 +5,3 @@ f()\n same\n-old\n+new\n+more\n end\n");
  assert.deepEqual(
    file.lines.map(({ kind, from, to }) => [kind, from, to]),
    [
      ["hunk", "", ""],
      ["same", 3, 5],
      ["del", 4, ""],
      ["add", "", 6],
      ["add", "", 7],
      ["same", 5, 8],
    ],
  );
  assert.deepEqual([file.added, file.removed], [2, 1]);
});

test("names: renamed, quoted with octal bytes, and with a space", () => {
  const names = (text: string) => parseDiff(text).map(({ was, name, note }) => [was, name, note]);
  assert.deepEqual(names("diff --git a/old b/new\nrename from old\nrename to new\n"), [["old", "new", ""]]);
  assert.deepEqual(names('diff --git "a/\\303\\244" "b/\\303\\244"\n'), [["", "ä", ""]]);
  assert.deepEqual(names("diff --git a/a b b/a b\nnew file mode 100644\nBinary files differ\n"), [
    ["", "a b", "new, binary"],
  ]);
});

test("two columns: what was added is next to what was removed in its place", () => {
  const [del, add, more]: any[] = [{ kind: "del" }, { kind: "add" }, { kind: "add" }];
  assert.deepEqual(sideBySide([del, add, more]), [
    { left: del, right: add },
    { left: null, right: more },
  ]);
});

const UNUSUAL = String.raw`diff --git a/old b/new name
similarity index 90%
rename from old
rename to new name
@@ -1 +1 @@
--- a/not a head
+++ b/neither
\ No newline at end of file
diff --git "a/\303\251.txt" "b/\303\251.txt"
new file mode 100644
Binary files /dev/null and b/x differ
diff --git a/x b/x.py b/x b/x.py
deleted file mode 100644
`;

test("unusual diffs: renames, spaces, octal bytes, binary files, and lines that look like headers", () => {
  const found = parseDiff(UNUSUAL).map((file) => [
    file.name,
    file.was,
    file.note,
    file.lines.map((line) => line.kind + line.text),
  ]);
  assert.deepEqual(found, [
    [
      "new name",
      "old",
      "",
      ["hunk@@ -1 +1 @@", "del-- a/not a head", "add++ b/neither", "hunkNo newline at end of file"],
    ],
    ["é.txt", "", "new, binary", []],
    ["x b/x.py", "", "deleted", []],
  ]);
});

test("each side of each hunk is a text of its own", () => {
  const lines = parseDiff(
    "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n@@ -9 +9 @@\n+end\n",
  )[0].lines;
  const texts = sidesOf(lines).map((side) => side.map((line) => line.text));
  assert.deepEqual(texts, [["same", "old"], ["same", "new"], ["end"]]);
});

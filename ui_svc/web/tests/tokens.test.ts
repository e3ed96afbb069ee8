import { assert, test } from "vitest";

import { tokensOf } from "../src/code/grammars";
import { languageOf, languageOfFence, piecesOf } from "../src/code/tokens";

test("a file's name says its language", () => {
  const found = ["src/a.PY", "b.tsx", "Dockerfile", "deploy/Makefile", "notes", "x.unknown"].map(languageOf);
  assert.deepEqual(found, ["python", "typescript", "dockerfile", "makefile", "", ""]);
});

test("what follows a fence says the language of its block", () => {
  const infos = [
    "py",
    "Python",
    'ts title="a.ts"',
    "rust,ignore",
    "12:20:src/a.go",
    "dockerfile",
    "a.unknown",
    "",
  ];
  assert.deepEqual(infos.map(languageOfFence), [
    "python",
    "python",
    "typescript",
    "rust",
    "go",
    "dockerfile",
    "",
    "",
  ]);
});

test("code becomes tokens line by line, with every character", () => {
  const text = 'def f():\n    """Two\n    lines."""\n    return 1 # one\n';
  const lines = tokensOf(text, "python")!;
  assert.equal(lines.map((line) => line.map((each) => each.text).join("")).join("\n"), text);
  assert.deepEqual(lines[0][0], { text: "def", kind: "keyword" });
  assert.equal(lines[2][0].kind, "string");
  assert.equal(tokensOf("x", "klingon"), null);
});

test("a changed part of a line cuts its tokens", () => {
  const tokens = [
    { text: "return ", kind: "keyword" },
    { text: "value", kind: "" },
  ];
  assert.deepEqual(piecesOf("return value", tokens, ["ret", "urn va", "lue"]), [
    { text: "ret", kind: "keyword", changed: false },
    { text: "urn ", kind: "keyword", changed: true },
    { text: "va", kind: "", changed: true },
    { text: "lue", kind: "", changed: false },
  ]);
  // Tokens of another text are not used.
  assert.deepEqual(piecesOf("other", tokens), [{ text: "other", kind: "", changed: false }]);
});

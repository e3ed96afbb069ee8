import { assert, test } from "vitest";

import {
  chosen,
  endsOf,
  keysOf,
  leftIn,
  resultOf,
  unused,
  wholeOf,
  type ConflictFile,
  type Part,
} from "../src/conflict/resolution";

const text = (value: string) => ({ text: value, exact: true });
const common = (value: string): Part => ({ common: text(value), region: null });
const region = (base: string, ours: string, theirs: string): Part => ({
  common: null,
  region: { base: text(base), ours: text(ours), theirs: text(theirs) },
});
const version = (mode = "100644") => ({ mode, size: 1, target: "" });
const file = (changes: Partial<ConflictFile> = {}): ConflictFile => ({
  index: 0,
  path: "a.py",
  form: "text",
  note: "",
  made_up_name: false,
  base: version(),
  ours: version(),
  theirs: version(),
  ...changes,
});
const PARTS = [
  region("0\n", "1\n", "2\n"),
  common("same\n"),
  region("0\n", "1\n", "2\n"),
  region("", "a", "b\n"),
];

test("each region has a key of its content, and equal regions are told apart", () => {
  const keys = keysOf(PARTS);
  assert.equal(new Set(keys).size, 3);
  assert.equal(keys[1], `${keys[0]}.1`);
  // Another region before it does not change it.
  assert.equal(keysOf([common("new\n"), ...PARTS.slice(2)])[1], keys[2]);
});

test("a choice gives a region one side, both, or other text", () => {
  const dos = region("", "a\r\nb", "c\r\n").region!;
  assert.equal(resultOf(dos, undefined), null);
  assert.equal(resultOf(dos, { take: "theirs" }), "c\r\n");
  assert.equal(resultOf(dos, { take: "theirs_ours" }), "c\r\na\r\nb");
  // A line without an end gets one like the others before more text follows.
  assert.equal(resultOf(dos, { take: "ours_theirs" }), "a\r\nb\r\nc\r\n");
  assert.equal(resultOf(dos, { text: "" }), "");
});

test("a file is decided once every region, its mode and its name are", () => {
  const [one, other, last] = keysOf(PARTS);
  assert.equal(leftIn(file(), undefined, null), 1);
  assert.equal(leftIn(file(), { regions: { [one]: { take: "ours" } } }, PARTS), 2);
  const regions = { [one]: { take: "ours" }, [other]: { text: "x\n" }, [last]: { take: "theirs" } } as const;
  assert.equal(leftIn(file(), { regions }, PARTS), 0);
  assert.equal(wholeOf(PARTS, { regions }), "1\nsame\nx\nb\n");
  const modes = file({ base: null, ours: version("100755") });
  assert.equal(leftIn(modes, { regions }, PARTS), 1);
  assert.equal(leftIn(modes, { whole: "x", mode: "ours" }, PARTS), 0);
  const madeUp = file({ form: "one_side", ours: null, made_up_name: true });
  assert.equal(leftIn(madeUp, { side: "theirs" }, null), 1);
  assert.equal(leftIn(madeUp, { side: "theirs", newPath: " b " }, null), 0);
  assert.equal(leftIn(madeUp, { side: "ours" }, null), 0);
});

test("the request names each choice once", () => {
  const [one, other, last] = keysOf(PARTS);
  const regions = { [one]: { take: "ours" }, [other]: { text: "x\n" }, [last]: { take: "theirs" } } as const;
  assert.deepEqual((chosen(file(), { regions }, PARTS) as any).regions, [
    { side: "ours" },
    { text: "x\n" },
    { side: "theirs" },
  ]);
  assert.equal((chosen(file(), { regions, whole: "all\n" }, PARTS) as any).whole, "all\n");
  const link: any = chosen(file({ form: "link" }), { side: "theirs", newPath: " b " }, null);
  assert.deepEqual([link.side, link.new_path], ["theirs", "b"]);
});

test("what a person wrote for a region that has changed is kept apart", () => {
  const decision = { regions: { gone: { text: "mine\n" }, old: { take: "ours" } } } as const;
  assert.deepEqual(unused(decision, PARTS), ["mine\n"]);
  assert.deepEqual(unused({ regions: { [keysOf(PARTS)[0]]: { text: "x" } } }, PARTS), []);
});

test("line ends are told apart", () => {
  assert.deepEqual(["a", "a\n", "a\r\n", "a\r\nb\n"].map(endsOf), ["", "LF", "CRLF", "mixed"]);
});

import { assert, test } from "vitest";

import { editorLinks, quoted } from "../src/model/workspace";
import { followerOf } from "../src/session/follower";
import { markOf } from "../src/stores/viewedFiles";

test("a path is one word of a shell", () => {
  assert.strictEqual(quoted("/srv/heddle/a-b_1.2"), "/srv/heddle/a-b_1.2");
  assert.strictEqual(quoted("/srv/it's here"), "'/srv/it'\\''s here'");
  assert.strictEqual(quoted("$HOME"), "'$HOME'");
});

test("the chosen editor opens a folder; without a choice, two are offered", () => {
  assert.deepEqual(editorLinks("/a b/c", "zed"), [{ word: "Zed", href: "zed://file/a%20b/c" }]);
  assert.deepEqual(
    editorLinks("/a b", "").map((each) => each.href),
    ["vscode://file/a%20b", "idea://open?file=%2Fa%20b"],
  );
});

const part = (key: string, number = 0, state = ""): any => ({
  name: `e/tasks/${key}`,
  title: key,
  attempt: number ? { name: `e/tasks/${key}/attempts/${number}`, state } : null,
});

// [about, tasks of the epic, title and attempt that follow e/tasks/a/attempts/1]
const CASES: any[] = [
  ["nothing runs", [part("a", 1, "accepted"), part("b")], null],
  ["the next task runs", [part("a", 1, "accepted"), part("b", 1, "running")], ["b", "e/tasks/b/attempts/1"]],
  ["the task is tried again", [part("a", 2, "running")], ["Attempt 2", "e/tasks/a/attempts/2"]],
  ["an earlier task runs again", [part("z", 2, "running"), part("a", 1, "accepted")], null],
];

for (const [about, tasks, wanted] of CASES) {
  test(`how an epic continues: ${about}`, () => {
    const found = followerOf("e/tasks/a/attempts/1", tasks);
    assert.deepEqual(found && [found.title, found.attempt], wanted);
  });
}

test("a file that changes again is no longer viewed", () => {
  const file = (text: string): any => ({ name: "a.py", lines: [{ kind: "add", text }] });
  assert.strictEqual(markOf(file("x = 1")), markOf(file("x = 1")));
  assert.notStrictEqual(markOf(file("x = 1")), markOf(file("x = 2")));
});

import { assert, test } from "vitest";

import { bytes, count, dollars, duration, money, plural, roughly, took } from "../src/model/format";
import { groupOf } from "../src/model/status";
import { lastOverwrite, plain, spoken, withoutCommands } from "../src/model/text";

// [function, argument, text]
const WORDS: any[] = [
  [
    withoutCommands,
    "the budget of $1.00 for the run is used up ($1.20 spent): heddle resume r1 --budget-usd 2.20",
    "the budget of $1.00 for the run is used up ($1.20 spent)",
  ],
  [withoutCommands, "you: `heddle merge r1/e` or `heddle drop r1/e`", "you"],
  [
    withoutCommands,
    "you: fix it, then `heddle merge r1/e`; `heddle resolve r1/e` for an agent, or `heddle drop r1/e`",
    "you",
  ],
  [
    withoutCommands,
    "All work is done and kept in the worker's clone; `heddle push r1` tries again",
    "All work is done and kept in the worker's clone",
  ],
  [
    withoutCommands,
    "retry it with from_here (heddle retry --from-here) to set them aside",
    "retry it with from_here to set them aside",
  ],
  [withoutCommands, "its merge: heddle-retry-after is late", "its merge: heddle-retry-after is late"],
  [spoken, "wrote paths outside its `touches`: a", "wrote paths outside its touches: a"],
  [duration, 59_999, "0:59"],
  [duration, 60_000, "1:00"],
  [duration, 3_599_999, "59:59"],
  [duration, 3_600_000, "1h 00m"],
  [duration, 86_399_999, "23h 59m"],
  [duration, 86_400_000, "1d 0h"],
  [duration, -5, "0:00"],
  [took, undefined, ""],
  [took, 0, "0 ms"],
  [took, 0.9994, "999 ms"],
  [took, 1, "1.0 s"],
  [took, 60, "1:00"],
  [roughly, 0, "1 s"],
  [roughly, 59.6, "60 s"],
  [roughly, 60, "1 min"],
  [roughly, 5399, "90 min"],
  [roughly, 5400, "1 h 30 min"],
  [roughly, 172_800, "2.0 days"],
  [bytes, 1023, "1023 B"],
  [bytes, 1024, "1 KB"],
  [bytes, 1 << 20, "1.0 MB"],
  [bytes, 1 << 30, "1.0 GB"],
  [count, 9999, "9,999"],
  [count, 10_000, "10.0k"],
  [count, 999_999, "1000k"],
  [count, 1_000_000, "1.00M"],
  [dollars, 99_999, "$0.100"],
  [dollars, 100_000, "$0.10"],
  [dollars, -2_000_000, "−$2.00"],
  [dollars, 0, "$0.00"],
  [money, null, ""],
  [money, { cost: 0, cost_incomplete: true }, "price unknown"],
  [money, { cost: 1_000_000, cost_incomplete: true }, "≥ $1.00"],
  [money, { cost: 1_000_000, cost_estimated: 1 }, "~$1.00"],
];

for (const [of, value, text] of WORDS) {
  test(`${of.name}(${JSON.stringify(value)}) is "${text}"`, () => assert.strictEqual(of(value), text));
}

test("one is singular, none and many are plural", () => {
  assert.deepEqual(
    [0, 1, 2].map((number) => plural(number, "task")),
    ["0 tasks", "1 task", "2 tasks"],
  );
});

test("control sequences are gone, hidden characters are visible", () => {
  assert.strictEqual(plain("\x1b[31mred\x1b[0m\r\n"), "red\n");
  assert.strictEqual(plain("a\u202eb\x00c"), "a‹202e›b‹0000›c");
  assert.strictEqual(plain("\x1b]8;;http://x\x07link"), "link");
});

test("a line that was rewritten shows what was written last", () => {
  assert.strictEqual(lastOverwrite("10%\r50%\r100%\r"), "100%");
  assert.strictEqual(lastOverwrite("plain"), "plain");
});

// [state of the epic, states of its tasks, group]
const GROUPS: any[] = [
  ["running", ["running"], "running"],
  ["running", ["running", "waiting"], "waiting"],
  ["running", ["pending"], "queued"],
  ["awaiting_merge", ["accepted"], "waiting"],
  ["merging", ["accepted"], "running"],
  ["conflicted", ["accepted"], "failed"],
  ["failed", ["failed", "skipped"], "failed"],
  ["blocked", ["pending"], "queued"],
  ["ready", ["pending"], "queued"],
  ["succeeded", ["accepted"], "done"],
  ["dropped", ["accepted"], "done"],
];

for (const [state, tasks, group] of GROUPS) {
  test(`an epic that is ${state} with tasks ${tasks} is in group ${group}`, () => {
    assert.strictEqual(
      groupOf(
        { state },
        tasks.map((each: any) => ({ state: each })),
      ),
      group,
    );
  });
}

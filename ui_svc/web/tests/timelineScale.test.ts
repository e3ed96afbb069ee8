import { assert, test } from "vitest";
import { createScale, ticks } from "../src/model/timelineScale";

const MINUTE = 60_000;
const span = (from: any, to: any, waits: any[] = []) => ({ from: from * MINUTE, to: to * MINUTE, waits });
const gaps = (spans: any) =>
  createScale(spans, 100 * MINUTE, true).gaps.map(({ from, to }) => [from / MINUTE, to / MINUTE]);

// [what it is about, spans in minutes, gaps in minutes]
const GAPS = [
  [
    "a long span covers the end of a short one that began later",
    [span(0, 60), span(10, 20), span(59, 70)],
    [],
  ],
  ["nothing worked between two spans", [span(0, 10), span(30, 40)], [[10, 30]]],
  ["a pause of less than 20 s is no gap", [span(0, 10), span(10.3, 20)], []],
  [
    "who waits for the operator does not work",
    [span(0, 30, [{ from: 10 * MINUTE, to: 20 * MINUTE }])],
    [[10, 20]],
  ],
  ["another works while one waits", [span(0, 30, [{ from: 10 * MINUTE, to: 20 * MINUTE }]), span(5, 25)], []],
];

for (const [about, spans, expected] of GAPS)
  test(`gaps: ${about}`, () => assert.deepEqual(gaps(spans), expected));

test("a gap counts from 4 % of the time that was worked", () => {
  assert.deepEqual(gaps([span(0, 50), span(51.9, 101.9)]), []);
  assert.deepEqual(gaps([span(0, 50), span(54.1, 104.1)]), [[50, 54.1]]);
});

test("place and time are each other's inverse, and stay between the ends", () => {
  const scale = createScale([span(0, 10), span(30, 40)], 40 * MINUTE, true);
  for (const minutes of [0, 3, 10, 30, 37, 40]) {
    assert.ok(Math.abs(scale.timeAt(scale.place(minutes * MINUTE)) - minutes * MINUTE) < 1, `${minutes}`);
  }
  assert.strictEqual(scale.place(-MINUTE), 0);
  assert.strictEqual(scale.place(99 * MINUTE), 1);
});

test("a run in which nothing has begun has a scale all the same", () => {
  const scale = createScale([], 5, true);
  assert.deepEqual([scale.place(3), scale.timeAt(0.5), scale.segments], [0, 5, []]);
});

test("ticks are round, at least the room apart, and none reaches beyond the end", () => {
  const scale = createScale([span(0, 60)], 60 * MINUTE, false);
  const marks = ticks(scale, 800);
  assert.ok(marks.length > 3);
  assert.ok(marks.every(({ time }) => time % (5 * MINUTE) === 0));
  assert.ok(marks.every(({ x }, place) => place === 0 || x - marks[place - 1].x >= 86 * 0.8));
  assert.ok(marks.at(-1)!.x <= 800 - 30);
});

test("a gap of hours between two minutes of work takes little width if idle time is compressed", () => {
  const spans = [span(0, 1), span(300, 301)];
  const at = (compress: boolean) => {
    const scale = createScale(spans, 301 * MINUTE, compress);
    return [0, 1, 300, 301].map((minutes) => scale.place(minutes * MINUTE));
  };
  assert.ok(at(false)[1] < 0.01);
  const compressed = at(true);
  assert.deepEqual(
    compressed,
    compressed.toSorted((a, b) => a - b),
  );
  assert.deepEqual([compressed[0], compressed[3]], [0, 1]);
  assert.ok(compressed[1] > 0.45);
  assert.ok(compressed[2] - compressed[1] < 0.05);
});

test("the last label of any run leaves room for its own text", () => {
  for (let seconds = 20; seconds < 4000; seconds += seconds < 300 ? 1 : 17) {
    const one = { from: 0, to: seconds * 1000, waits: [] };
    for (const tick of ticks(createScale([one], one.to, false), 600))
      assert.ok(tick.x <= 600 - (tick.seconds ? 42 : 30), `${seconds} s`);
  }
});

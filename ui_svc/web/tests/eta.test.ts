import { assert, test } from "vitest";

import { useEta } from "../src/parts/eta";
import { now } from "../src/browser/clock";

// Forecast of 600 s, made so many seconds ago, of which so many start after the operator has acted.
// [about, state of the run, seconds, seconds left, text, after the operator]
const CASES: any[] = [
  ["it counts down between two forecasts", "running", 60, 540, "~9 min left"],
  ["it never goes below nothing", "running", 700, 0, "nearly done"],
  ["nothing is done while it is paused", "paused", 60, 600, null],
  ["an ended run has none", "succeeded", 0, null, ""],
  ["a cancelled run has none", "cancelled", 0, null, ""],
  ["what waits for the operator does not pass", "running", 700, 90, "~2 min after you act", 90],
  ["other work counts down first", "running", 60, 540, "~9 min left", 90],
  ["work that ends with an answer is not nearly done", "running", 700, 0, "waiting for you", 0],
  ["a pause comes before the answer", "paused", 700, 600, null, 90],
];

for (const [about, state, passed, left, text, after_operator = null] of CASES) {
  test(about, () => {
    now.value = 1_000_000_000;
    const forecast = {
      remaining: 600,
      at: now.value - passed * 1000,
      measured: 0,
      at_least: 60,
      after_operator,
    };
    const eta = useEta(() => ({ state, forecast }));
    assert.strictEqual(eta.left.value, left);
    if (text !== null) assert.strictEqual(eta.text.value, text);
    if (text?.match(/you/)) assert.notMatch(eta.title.value, /Ends about/);
  });
}

test("a run without a forecast says nothing", () => {
  const eta = useEta(() => ({ state: "running", forecast: null }));
  assert.deepEqual([eta.left.value, eta.text.value, eta.title.value], [null, "", ""]);
});

import { assert, test } from "vitest";

import { waitOf } from "../src/board/laneFacts";

const PLACE = "waiting for a place: 0/4 workers have a free slot";

// [about, state of the epic, its own reason, running sessions of the run, what is shown]
const CASES: [string, string, string, string[], string][] = [
  ["an epic shows what its whole run waits for", "ready", "", [], PLACE],
  ["so does one between two tasks", "running", "", [], PLACE],
  ["its own reason is more exact", "ready", "no worker offers gpu", [], "no worker offers gpu"],
  ["if others work, the run's reason is about them", "ready", "", ["runs/r/epics/b/tasks/t/attempts/1"], ""],
  ["an epic that waits for others needs no place yet", "blocked", "", [], ""],
  ["an epic that has ended waits for nothing", "succeeded", "", [], ""],
];

for (const [about, state, reason, running, shown] of CASES) {
  test(about, () => {
    const store: any = { running: { value: running }, run: { value: { waits_for: PLACE } } };
    assert.strictEqual(waitOf(store, { state, reason } as any), shown);
  });
}

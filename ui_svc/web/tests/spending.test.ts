import { assert, test } from "vitest";

import { bySubAgent, raised, report } from "../src/model/spending";

const used = (cost: number, more = {}) =>
  report({ time: 1, cost_usd_micros: cost, input_tokens: 10, ...more } as any);

test("what sub-agents used is told apart from what the session's own agent used", () => {
  const reports = [
    used(5),
    used(1, { parent_tool_call_id: "a", sub_agent: "Find the bug" }),
    used(9, { parent_tool_call_id: "b" }),
    used(2, { parent_tool_call_id: "a" }),
    used(4),
  ];
  assert.deepEqual(
    bySubAgent(reports).map(({ title, cost, input }) => [title, cost, input]),
    [
      ["The session's own agent", 9, 20],
      ["Sub-agent 2", 9, 10],
      ["Find the bug", 3, 20],
    ],
  );
  // Without sub-agents, there is nothing to tell apart.
  assert.deepEqual(bySubAgent([used(5)]), []);
});

test("a raised budget is that of the run, the epic or the task, and never that of the run for a part", () => {
  const say = (of?: string) => raised({ run: "runs/r", run_title: "Shop", of } as any, 3_000_000);
  assert.equal(say(), "The budget of Shop is now $3.00");
  assert.equal(say("runs/r"), "The budget of Shop is now $3.00");
  assert.equal(say("runs/r/epics/search"), "The budget of search is now $3.00");
  assert.equal(say("runs/r/epics/search/tasks/index"), "The budget of search/index is now $3.00");
});

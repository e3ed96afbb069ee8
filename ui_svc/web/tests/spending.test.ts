import { assert, test } from "vitest";

import { bySubAgent, report } from "../src/model/spending";

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

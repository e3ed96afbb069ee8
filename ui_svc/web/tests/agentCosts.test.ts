// What a plan will cost, before it starts.
import { expect, test } from "vitest";
import { expectedCost } from "../src/newRun/agentCosts";

test.each([
  ["each task of an agent costs its average", { claude: 3, codex: 1 }, { claude: 100, codex: 50 }, 350],
  ["an agent without accepted tasks has no known cost", { claude: 3, codex: 1 }, { claude: 100 }, null],
  [
    "an agent whose price is unknown has none either",
    { claude: 1, codex: 1 },
    { claude: 1, codex: null },
    null,
  ],
  ["what costs nothing is known to", { "command:x": 2 }, { "command:x": 0 }, 0],
  ["averages are rounded once, in the sum", { claude: 3 }, { claude: 0.4 }, 1],
  ["a plan without tasks has no cost", {}, { claude: 1 }, null],
])("%s", (_, tasks, known, cost) => {
  expect(expectedCost(tasks, known)).toBe(cost);
});

// What a task of each agent cost on average in the newest runs, in millionths of a dollar; null: not known.
import { ref, type Ref } from "vue";
import { get } from "../browser/api";

export type AgentCosts = Record<string, number | null>;

const costs = ref<AgentCosts>({});
let asked = false;

// Asks once for each load of the page; empty until the answer is here.
export function useAgentCosts(): Ref<AgentCosts> {
  if (!asked) {
    asked = true;
    get("agent_costs").then(
      (answer) => (costs.value = answer.costs),
      () => (asked = false),
    );
  }
  return costs;
}

// What a plan would cost, by the number of tasks of each agent; null if that of one agent is not known.
export function expectedCost(tasks: Record<string, number>, known: AgentCosts): number | null {
  let sum = 0;
  for (const [agent, count] of Object.entries(tasks)) {
    const cost = known[agent] ?? null;
    if (cost === null) return null;
    sum += count * cost;
  }
  return Object.keys(tasks).length ? Math.round(sum) : null;
}

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
  const each = Object.entries(tasks).map(([agent, count]) => {
    const cost = known[agent] ?? null;
    return cost === null ? null : count * cost;
  });
  if (!each.length || each.includes(null)) return null;
  return Math.round(each.reduce<number>((sum, cost) => sum + (cost ?? 0), 0));
}

// Which agents the workers can start, and what the others lack. Pure.
import type { Agent, Look, Worker } from "./types";

// Kinds whose name ends with a colon are followed by a command.
export const takesCommand = (name: string) => name.endsWith(":");

const rank = (agent: Agent) => (agent.ready ? 2 : agent.available ? 1 : 0);

// Each agent once, as it is on the worker where it is most ready.
export function agentsOf(workers: Worker[]): Agent[] {
  const found = new Map<string, Agent>();
  for (const agent of workers.filter((worker) => worker.connected).flatMap((worker) => worker.agents)) {
    const known = found.get(agent.name);
    if (!known || rank(agent) > rank(known)) found.set(agent.name, agent);
  }
  return [...found.values()];
}

// Returns the agent of a name in a plan, for example "claude" or "command:make"; undefined if no worker knows it.
export const agentNamed = (agents: Agent[], name: string): Agent | undefined =>
  agents.find((each) => each.name === name) ??
  agents.find((each) => takesCommand(each.name) && name.startsWith(each.name));

export function readiness(agent: Agent): Look {
  if (agent.ready) return { word: "ready", icon: "check", tone: "ok" };
  if (agent.available) return { word: "not logged in", icon: "lock", tone: "wait" };
  return { word: "not installed", icon: "minus", tone: "quiet" };
}

// Agents that work with a model: not the scripted one, and no kinds that need a command.
export const isModel = (agent: Agent) => agent.name !== "scripted" && !takesCommand(agent.name);

// What to know about the agents of a run before it starts: those that are not ready, and a rehearsal.
export function agentWarnings(
  agents: Agent[],
  names: string[],
): { name: string; word: string; todo: string }[] {
  return names.flatMap((name) => {
    const agent = agentNamed(agents, name);
    if (!agent) return [{ name, word: "unknown to every worker", todo: "" }];
    if (!agent.ready) return [{ name, word: readiness(agent).word, todo: todoOf(agent) }];
    if (name === "scripted")
      return [{ name, word: "a rehearsal", todo: "It plays scripts and writes no code of its own." }];
    return [];
  });
}

// What to do, without the word that the readiness says already.
export const todoOf = (agent: Agent) => {
  const todo = agent.detail.replace(/^(not logged in|not found on PATH)[:;]\s*/, "");
  return todo.charAt(0).toUpperCase() + todo.slice(1);
};

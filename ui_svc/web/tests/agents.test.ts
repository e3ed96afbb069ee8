import { assert, test } from "vitest";
import { agentNamed, agentsOf, agentWarnings, readiness, todoOf } from "../src/model/agents";

const agent = (name: string, available: boolean, ready: boolean, detail = "") => ({
  name,
  available,
  ready,
  version: "",
  detail,
});
const worker = (connected: boolean, ...agents: ReturnType<typeof agent>[]) => ({
  name: "w",
  slots: 1,
  running: 0,
  connected,
  reason: "",
  reachable: true,
  terminals: false,
  agents,
});

test("an agent is as it is on the worker where it is most ready, and workers that are away do not count", () => {
  const found = agentsOf([
    worker(true, agent("claude", true, false), agent("codex", false, false)),
    worker(true, agent("claude", true, true), agent("codex", true, false)),
    worker(false, agent("codex", true, true), agent("goose", true, true)),
  ]);
  assert.deepEqual(
    found.map((each) => [each.name, readiness(each).word]),
    [
      ["claude", "ready"],
      ["codex", "not logged in"],
    ],
  );
});

test("a command belongs to its kind, and an unknown name to none", () => {
  const known = [agent("acp:goose", true, true), agent("acp:", true, true), agent("command:", true, true)];
  assert.equal(agentNamed(known, "acp:goose")?.name, "acp:goose");
  assert.equal(agentNamed(known, "acp:other --x")?.name, "acp:");
  assert.equal(agentNamed(known, "command:make all")?.name, "command:");
  assert.equal(agentNamed(known, "unknown"), undefined);
});

test("agents that are ready need no warning; the scripted one is a rehearsal", () => {
  const known = [
    agent("scripted", true, true),
    agent("codex", true, true),
    agent("claude", true, false, "not logged in: run it"),
  ];
  const words = agentWarnings(known, ["claude", "codex", "other", "scripted"]).map((each) => each.word);
  assert.deepEqual(words, ["not logged in", "unknown to every worker", "a rehearsal"]);
  assert.equal(todoOf(known[2]), "Run it");
  assert.equal(todoOf(agent("x", false, false, "not found on PATH; see y")), "See y");
});

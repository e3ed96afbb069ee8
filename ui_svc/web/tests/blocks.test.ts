import { assert, test } from "vitest";
import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import SessionBlock from "../src/session/SessionBlock.vue";
import { createBlocks } from "../src/stores/blocks";

let sequence = 0;
const event = (type: string, fields: object): any => ({ type, sequence: ++sequence, time: 1000, ...fields });
const started = (id: string, name: string, parent?: string) =>
  event("tool_started", { tool_call_id: id, name, target: id, kind: "execute", parent_tool_call_id: parent });
const finished = (id: string, ok: boolean) =>
  event("tool_finished", { tool_call_id: id, ok, result: "", duration: 1 });
const said = (text: string, parent?: string, last = false) =>
  event("message", { kind: "text", text, last, parent_tool_call_id: parent });

test("what a sub-agent does is below the call that started it, with its own state", async () => {
  const { blocks, append, current } = createBlocks();
  for (const each of [
    said("I ask two helpers."),
    started("task-1", "Task"),
    started("task-2", "Task"),
    // Two sub-agents work at the same time.
    said("Look", "task-1"),
    started("ls", "Bash", "task-1"),
    said("Other", "task-2"),
    said("ing.", "task-1", true),
    finished("ls", false),
    started("nested", "Task", "task-1"),
    started("deep", "Bash", "nested"),
    said("Meanwhile."),
    // The call of this one was before the page began.
    said("Lost", "unknown"),
  ])
    append(each);
  assert.deepEqual(
    blocks.map((block) => block.text ?? block.tool_call_id),
    ["I ask two helpers.", "task-1", "task-2", "Meanwhile.", "Lost"],
  );
  const steps = blocks[1].steps!;
  assert.deepEqual(
    steps.map((step) => step.text ?? [step.tool_call_id, step.state]),
    ["Look", ["ls", "failed"], "ing.", ["nested", "running"]],
  );
  assert.equal(steps[3].steps![0].tool_call_id, "deep");
  assert.equal(blocks[2].steps![0].text, "Other");
  assert.equal(current()!.tool_call_id, "deep");

  const shown = await renderToString(createSSRApp(SessionBlock, { block: blocks[1], attempt: "a" }));
  const words = shown.replace(/<!--.*?-->|<[^>]+>/g, " ").replace(/\s+/g, " ");
  assert.include(words, "Sub-agent 2 calls , 1 failed");
  append(finished("task-1", true));
  assert.equal(blocks[1].state, "ok");
});

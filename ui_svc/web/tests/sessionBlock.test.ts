import { assert, test } from "vitest";
import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

import Approval from "../src/parts/Approval.vue";
import SessionBlock from "../src/session/SessionBlock.vue";
import Words from "../src/parts/Words.vue";

const end = (outcome: string) =>
  renderToString(
    createSSRApp(SessionBlock, {
      attempt: "a",
      block: { type: "session_finished", outcome, log: ["system", "heddle", `session ${outcome}`] },
    }),
  );

test("a session that only waits has not failed", async () => {
  for (const outcome of ["parked", "rate_limited", "interrupted"]) {
    const shown = await end(outcome);
    assert.include(shown, "icon-pause");
    assert.notInclude(shown, "is-bad");
  }
  assert.include(await end("failed"), "icon-cross");
  assert.include(await end("succeeded"), "icon-check");
});

test("a server's sentence shows code, and no command that the page has a button for", async () => {
  const text = "claude is on hold: log in with `claude` on the worker; then `heddle resume r1`";
  const shown = await renderToString(createSSRApp(Words, { text }));
  assert.strictEqual(
    shown.replace(/<!--.*?-->| data-v-\w+/g, ""),
    "<span>claude is on hold: log in with <code>claude</code> on the worker</span>",
  );
});

test("only a call of a tool can be allowed for the session or the run", async () => {
  const asked = (waiting: object) => renderToString(createSSRApp(Approval, { waiting } as any));
  const call = await asked({ question: "May I?", tool: "Bash", target: "make" });
  assert.include(call, 'data-answer="session"');
  assert.include(call, 'data-answer="run"');
  assert.notInclude(await asked({ question: "May I?" }), 'data-answer="run"');
});

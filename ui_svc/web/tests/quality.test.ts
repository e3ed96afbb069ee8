import { assert, test, vi } from "vitest";
import { createSSRApp } from "vue";
import { renderToString } from "vue/server-renderer";

vi.stubGlobal("addEventListener", () => {});
const { default: TabQuality } = await import("../src/session/tabs/TabQuality.vue");

const shown = (state: string) =>
  renderToString(
    createSSRApp(TabQuality, {
      store: {},
      attempt: "a",
      shown: { state, checks: [] },
      details: { attempts: [] },
      log: { version: 0, failures: [] },
      live: false,
    } as any),
  );

test("an attempt that has ended without a commit does not promise one", async () => {
  for (const state of ["reviewed", "failed", "stopped", "lost"]) {
    const page = await shown(state);
    assert.include(page, "This attempt committed nothing.");
    assert.notInclude(page, "yet");
  }
  // Also in a replay, which is not live.
  for (const state of ["running", "parked"]) {
    const page = await shown(state);
    assert.include(page, "The change is shown once it is committed.");
    assert.include(page, "nothing committed yet");
  }
});

import { assert, test, vi } from "vitest";

test("clocks stop while the page may be out of date", async () => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.resetModules();
  const { frozen, now } = await import("../src/browser/clock");
  vi.advanceTimersByTime(2000);
  assert.strictEqual(now.value, 1_002_000);
  frozen.value = true;
  vi.advanceTimersByTime(5000);
  assert.strictEqual(now.value, 1_002_000);
  frozen.value = false;
  vi.advanceTimersByTime(1000);
  assert.strictEqual(now.value, 1_008_000);
  vi.useRealTimers();
});

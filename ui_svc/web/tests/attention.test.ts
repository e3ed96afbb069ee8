import { assert, test, vi } from "vitest";

const item = (kind: string, waits: any) => ({
  key: kind,
  kind,
  waits,
  title: "Shop",
  run: "runs/r",
  reason: `${kind}.`,
});
const OPEN = [item("environment", true), item("held", true), item("budget", true)];
const OVER = [item("task", false), item("push", false)];
const first: any = { feed: "f", number: 1, items: [...OPEN, ...OVER] };

const handlers = new Map();
window.socket = {
  connected: true,
  on: (event, handler) => handlers.set(event, handler),
  off() {},
  emit() {},
  timeout: () => ({ emitWithAck: async () => first }),
};
const kept = new Map();
const shown: string[][] = [];
vi.stubGlobal("addEventListener", () => {});
vi.stubGlobal("localStorage", {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: any) => kept.set(key, value),
});
vi.stubGlobal(
  "Notification",
  class {
    static permission = "granted";
    constructor(title: any, options: any) {
      shown.push([title, options.body]);
    }
  },
);
const { useAttention } = await import("../src/stores/attention");
const attention = useAttention();
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const keys = () => attention.items.value.map((each) => each.key);

test("what waits cannot be dismissed, whatever its kind", async () => {
  await settled();
  assert.deepEqual(keys(), ["environment", "held", "budget", "task", "push"]);
  first.items.forEach(attention.dismiss);
  assert.deepEqual(keys(), ["environment", "held", "budget"]);
});

test("a hidden page notifies of what newly waits", () => {
  vi.stubGlobal("document", { hidden: true });
  const news = [...OPEN, ...OVER].map((each) => ({ ...each, key: `${each.key}:new` }));
  const asked = { ...item("question", true), question: "May I?" };
  handlers.get("heddle_attention")({ ...first, room: "attention", number: 2, items: [...news, asked] });
  assert.deepEqual(shown, [
    ["Shop is waiting", "environment."],
    ["Shop is waiting", "held."],
    ["Shop is paused", "budget."],
    ["Shop has a question", "May I?"],
  ]);
});

import { assert, test } from "vitest";

// One socket for all: the module keeps the first that it finds.
const handlers = new Map();
const asked: any[] = [];
let answer = { feed: "f", number: 1 };
window.socket = {
  connected: true,
  on: (event, handler) => handlers.set(event, [...(handlers.get(event) ?? []), handler]),
  off: (event, handler) =>
    handlers.set(
      event,
      handlers.get(event).filter((each: any) => each !== handler),
    ),
  emit() {},
  timeout: () => ({
    async emitWithAck(event, data) {
      asked.push(data);
      return answer;
    },
  }),
};
const { follow } = await import("../src/browser/follow");

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const send = (frame: any) =>
  handlers.get("frame").forEach((handler: any) => handler({ room: "r", feed: "f", ...frame }));

async function following() {
  const seen = { frames: [] as number[], snapshots: 0 };
  asked.length = 0;
  answer = { feed: "f", number: 1 };
  const feed = follow({
    ask: "join",
    event: "frame",
    room: "r",
    onSnapshot: () => (seen.snapshots += 1),
    onFrame: (frame) => seen.frames.push(frame.number),
  });
  await settled();
  return { ...seen, seen, stop: feed.stop, status: feed.status };
}

// [what it is about, frames that come, frames that are shown, snapshots that are asked for]
const CASES: any[] = [
  ["frames in order are shown", [{ number: 2 }, { number: 3 }], [2, 3], 1],
  ["a frame that came before is not shown again", [{ number: 2 }, { number: 2 }, { number: 1 }], [2], 1],
  ["a lost frame leads to a new snapshot", [{ number: 2 }, { number: 4 }], [2], 2],
  ["the first frame after the snapshot may not be missing either", [{ number: 3 }], [], 2],
  ["another feed leads to a new snapshot", [{ number: 2, feed: "g" }], [], 2],
  ["frames of another room are not ours", [{ number: 9, room: "other" }], [], 1],
];

for (const [about, frames, shown, snapshots] of CASES) {
  test(about, async () => {
    const { seen, stop } = await following();
    frames.forEach(send);
    await settled();
    stop();
    assert.deepEqual([seen.frames, seen.snapshots], [shown, snapshots]);
  });
}

test("a feed that cannot be read says so, and keeps what it has", async () => {
  const { seen, status, stop } = await following();
  send({ number: 2, stale: "The scheduler does not answer" });
  assert.strictEqual(status.stale, "The scheduler does not answer");
  send({ number: 3 });
  stop();
  assert.deepEqual([status.stale, seen.frames], ["", [2, 3]]);
});

test("nothing is shown after it was left", async () => {
  const { seen, stop } = await following();
  stop();
  await settled();
  send({ number: 2 });
  assert.deepEqual(seen.frames, []);
});

// Follows one feed of the web app: a snapshot first, then frames. A frame that is
// missing, or a restart of the web app, leads to another snapshot.
import { reactive } from "vue";
import { online, socket } from "./socket";

// A snapshot or a frame: what the feed sends, and where in its sequence it is.
export interface News {
  room: string;
  feed: string;
  number: number;
  stale?: string;
  failure?: string;
  [content: string]: any;
}

// Whether there is content, and why it may be out of date or missing.
export interface FeedStatus {
  ready: boolean;
  stale: string;
  failure: string;
}

interface Feed {
  // The event that joins, and the event of the frames.
  ask: string;
  event: string;
  room: string;
  // The payload of the join.
  data?: () => object;
  onSnapshot: (answer: News) => unknown;
  onFrame: (frame: News) => void;
}

const ANSWER_TIMEOUT = 15000;

export function follow({ ask, event, room, data = () => ({}), onSnapshot, onFrame }: Feed) {
  const status = reactive<FeedStatus>({ ready: false, stale: "", failure: "" });
  let feed: string | null = null;
  let number = 0;
  let turn = 0;
  let stopped = false;

  async function join() {
    const mine = ++turn;
    feed = null;
    const it = await socket();
    let answer: News;
    try {
      answer = await it.timeout(ANSWER_TIMEOUT).emitWithAck(ask, { name: room, ...data() });
    } catch {
      // No answer in time: a lost connection joins again once it is back.
      if (mine === turn && !stopped && online.value) setTimeout(join, 1000);
      return;
    }
    if (mine !== turn || stopped) return;
    feed = answer.feed ?? null;
    number = answer.number ?? 0;
    note(answer);
    if (!answer.failure || answer.run) await onSnapshot(answer);
    status.ready = true;
  }

  function note(answer: News) {
    status.stale = answer.stale ?? "";
    status.failure = answer.failure ?? "";
  }

  function receive(frame: News) {
    // Without a feed, a newer snapshot is already requested.
    if (frame.room !== room || feed === null) return;
    if (frame.feed !== feed || frame.number > number + 1) return void join();
    if (frame.number <= number) return;
    number = frame.number;
    note(frame);
    onFrame(frame);
  }

  socket().then((it) => {
    if (stopped) return;
    it.on(event, receive);
    it.on("connect", join);
    if (it.connected) join();
  });

  function stop() {
    stopped = true;
    socket().then((it) => {
      it.off(event, receive);
      it.off("connect", join);
      it.emit("heddle_look_away", { name: room });
    });
  }

  return { status, stop };
}

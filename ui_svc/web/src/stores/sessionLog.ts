// The events of one session: earlier ones over HTTP, newest page first; new ones over
// the socket. Every event is taken once, by its sequence.
import { ref, shallowReactive } from "vue";
import { get, messageOf } from "../browser/api";
import { follow, type News } from "../browser/follow";
import { whenIdle } from "../browser/idle";
import { appendRows, joinRows, type Row } from "../model/logRows";
import type { LogEvent } from "../model/types";
import { createBlocks, type Block, type Latest } from "./blocks";

// A failed call, with the event that started it.
export type Failure = LogEvent & { tool?: LogEvent };

// A log, live or at a moment. Plain arrays; `version` says that they changed.
export interface Log {
  rows: Row[];
  shots: LogEvent[];
  failures: Failure[];
  version: number;
  // Whether the newest page is loaded, and whether all pages are.
  ready: boolean;
  complete: boolean;
  // Whether the oldest lines were dropped.
  cut: boolean;
  ended: boolean;
  problem: string;
  blocks: Block[];
  current: () => Block | undefined;
  latest: Latest;
  // The tool_started of each call.
  calls: Map<string, LogEvent>;
  replay?: boolean;
  // Of a live log.
  events?: LogEvent[];
  // Whether the first messages and calls are only in the log.
  skipped?: boolean;
  // The oldest event that is still kept.
  keptFrom?: number;
}

export interface LiveLog extends Log {
  attempt: string;
  events: LogEvent[];
  skipped: boolean;
  keptFrom: number;
}

type Found = Pick<Log, "shots" | "failures">;

// Lines that the browser keeps; the oldest of a longer log are dropped here, not in the download.
const MOST_ROWS = 200000;

// ms; how long the next page waits at most.
const PATIENCE = 500;

// Messages and calls are shown for this many events; the log has all.
export const SPOKEN = 5000;

// Adds the events' tool_started to `calls`, and their screenshots and failed calls to `into`.
export function note(events: LogEvent[], calls: Map<string, LogEvent>, into: Found): void {
  for (const event of events) {
    if (event.type === "tool_started") calls.set(event.tool_call_id, event);
    if (event.type === "screenshot") into.shots.push(event);
    if (event.type === "tool_finished" && !event.ok)
      into.failures.push({ ...event, tool: calls.get(event.tool_call_id) });
  }
}

export function createSessionLog(attempt: string) {
  let stream = createBlocks();
  const log = shallowReactive<LiveLog>({
    attempt,
    events: [],
    rows: [],
    shots: [],
    failures: [],
    version: 0,
    ready: false,
    complete: false,
    skipped: false,
    cut: false,
    keptFrom: 1,
    ended: false,
    problem: "",
    blocks: stream.blocks,
    current: stream.current,
    latest: stream.latest,
    calls: new Map(),
  });
  const last = ref(0);
  const { calls } = log;
  let first = 0;
  let closed = false;
  let catchingUp: Promise<unknown> | null = null;
  let link: ReturnType<typeof follow> | null = null;

  function append(events: LogEvent[]) {
    const fresh = events.filter((event) => event.sequence > last.value);
    if (!fresh.length) return;
    note(fresh, calls, log);
    log.events.push(...fresh);
    appendRows(log.rows, fresh, calls);
    fresh.forEach((event) => stream.append(event));
    last.value = fresh[fresh.length - 1].sequence;
    if (log.rows.length > MOST_ROWS * 1.1) {
      log.rows = log.rows.slice(-MOST_ROWS);
      log.events = log.events.slice(-MOST_ROWS);
      log.cut = true;
    }
    log.version += 1;
  }

  // Fetches over HTTP until `to` is loaded.
  async function catchUp(to: number) {
    while (last.value < to && !closed) {
      const page = await get(`${attempt}/events?after=${last.value}`);
      if (!page.events.length) return;
      append(page.events);
    }
  }

  // Frames after a missing one wait until it is fetched.
  function afterGap(work: () => Promise<void>) {
    catchingUp = (catchingUp ?? Promise.resolve())
      .then(work)
      .catch((problem) => (log.problem = messageOf(problem)));
    return catchingUp;
  }

  function takeFrame(frame: News) {
    if (frame.ended) log.ended = true;
    if (!frame.events) return;
    if (frame.after <= last.value && !catchingUp) append(frame.events);
    else afterGap(() => catchUp(frame.after).then(() => append(frame.events)));
  }

  async function loadEarlier() {
    const earlier = !log.complete;
    while (!closed && !log.complete) {
      // It can wait: what is on the screen comes first.
      await new Promise<unknown>((resolve) => whenIdle(resolve, PATIENCE));
      const page = closed || (await get(`${attempt}/events?before=${first}`));
      if (closed) return;
      if (page.events.length) {
        const found: Found = { shots: [], failures: [] };
        note(page.events, calls, found);
        log.events = page.events.concat(log.events);
        log.rows = joinRows(appendRows([], page.events, calls), log.rows);
        log.shots = found.shots.concat(log.shots);
        log.failures = found.failures.concat(log.failures);
        first = page.events[0].sequence;
      }
      log.complete = !page.more || !page.events.length;
      if (log.rows.length > MOST_ROWS) {
        log.cut = true;
        log.complete = true;
      }
      log.version += 1;
    }
    if (!closed && earlier) tellAgain();
  }

  // Messages and calls of the newest page alone may lack their beginnings.
  function tellAgain() {
    stream = createBlocks();
    log.events.slice(-SPOKEN).forEach(stream.append);
    Object.assign(log, {
      skipped: log.events.length > SPOKEN,
      blocks: stream.blocks,
      current: stream.current,
      latest: stream.latest,
    });
  }

  async function begin() {
    try {
      const page = await get(`${attempt}/events`);
      if (closed) return;
      first = page.events[0]?.sequence ?? 0;
      log.keptFrom = page.oldest || 1;
      last.value = Math.max(last.value, log.keptFrom - 1);
      append(page.events);
      log.complete = !page.more;
      log.ready = true;
      log.problem = "";
    } catch (problem) {
      log.problem = messageOf(problem);
      if (!closed) setTimeout(begin, 2000);
      return;
    }
    link = follow({
      ask: "heddle_look_at_session",
      event: "heddle_session",
      room: attempt,
      data: () => ({ after: last.value }),
      onSnapshot(answer) {
        log.ended = answer.ended;
        return catchingUp || answer.after > last.value ? afterGap(() => catchUp(answer.after)) : undefined;
      },
      onFrame: takeFrame,
    });
    loadEarlier().catch((problem) => (log.problem = messageOf(problem)));
  }

  begin();
  return {
    log,
    close() {
      closed = true;
      link?.stop();
    },
  };
}

// The events of one session: earlier ones over HTTP, newest page first; new ones over
// the socket. Every event is taken once, by its sequence.
import { ref, shallowReactive } from "vue";
import { get } from "./api.js";
import { createBlocks } from "./blocks.js";
import { follow } from "./follow.js";
import { whenIdle } from "./idle.js";
import { appendRows, joinRows } from "./log_rows.js";

// Lines that the browser keeps; the oldest of a longer log are dropped here, not in the download.
const MOST_ROWS = 200000;
// ms; how long the next page waits at most.
const PATIENCE = 500;
// Messages and calls are shown for this many events; the log has all.
export const SPOKEN = 5000;

// Adds the events' tool_started to `calls`, and their screenshots and failed calls to `into`.
export function note(events, calls, into) {
  for (const event of events) {
    if (event.type === "tool_started") calls.set(event.tool_call_id, event);
    if (event.type === "screenshot") into.shots.push(event);
    if (event.type === "tool_finished" && !event.ok)
      into.failures.push({ ...event, tool: calls.get(event.tool_call_id) });
  }
}

export function createSessionLog(attempt) {
  let stream = createBlocks();
  const log = shallowReactive({
    attempt,
    // Plain arrays; `version` says that they changed.
    events: [],
    rows: [],
    shots: [],
    failures: [],
    version: 0,
    // Whether the newest page is loaded, and whether all pages are.
    ready: false,
    complete: false,
    // Whether the first messages and calls are only in the log.
    skipped: false,
    // Whether the oldest lines were dropped.
    cut: false,
    // The oldest event that is still kept.
    keptFrom: 1,
    ended: false,
    problem: "",
    blocks: stream.blocks,
    current: stream.current,
    latest: stream.latest,
    // The tool_started of each call.
    calls: new Map(),
  });
  const last = ref(0);
  const { calls } = log;
  let first = 0;
  let closed = false;
  let catchingUp = null;
  let link = null;

  function append(events) {
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
  async function catchUp(to) {
    while (last.value < to && !closed) {
      const page = await get(`${attempt}/events?after=${last.value}`);
      if (!page.events.length) return;
      append(page.events);
    }
  }

  // Frames after a missing one wait until it is fetched.
  function afterGap(work) {
    catchingUp = (catchingUp ?? Promise.resolve())
      .then(work)
      .catch((problem) => (log.problem = problem.message));
    return catchingUp;
  }

  function takeFrame(frame) {
    if (frame.ended) log.ended = true;
    if (!frame.events) return;
    if (frame.after <= last.value && !catchingUp) append(frame.events);
    else afterGap(() => catchUp(frame.after).then(() => append(frame.events)));
  }

  async function loadEarlier() {
    const earlier = !log.complete;
    while (!closed && !log.complete) {
      // It can wait: what is on the screen comes first.
      await new Promise((goOn) => whenIdle(goOn, PATIENCE));
      const page = closed || (await get(`${attempt}/events?before=${first}`));
      if (closed) return;
      if (page.events.length) {
        const found = { shots: [], failures: [] };
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
      log.problem = problem.message;
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
    loadEarlier().catch((problem) => (log.problem = problem.message));
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

// A session's log at a moment, from the events until then.
import { shallowReactive } from "vue";
import { appendRows } from "../model/logRows";
import type { LogEvent } from "../model/types";
import { createBlocks } from "./blocks";
import { note, SPOKEN, type LiveLog, type Log } from "./sessionLog";

export function createReplayLog() {
  const log = shallowReactive<Log>({
    replay: true,
    rows: [],
    shots: [],
    failures: [],
    version: 0,
    ready: false,
    complete: true,
    cut: false,
    ended: true,
    problem: "",
    blocks: [],
    latest: { plan: null, edits: [] },
    current: () => undefined,
    calls: new Map(),
  });
  let taken = 0;
  let first: number | undefined;
  let source: LiveLog | null = null;
  let stream = createBlocks();

  function begin(events: LogEvent[]) {
    stream = createBlocks();
    Object.assign(log, {
      rows: [],
      shots: [],
      failures: [],
      calls: new Map(),
      blocks: stream.blocks,
      latest: stream.latest,
      current: stream.current,
    });
    taken = 0;
    first = events[0]?.sequence;
  }

  function show(of: LiveLog, time: number) {
    const { events } = of;
    const end = upTo(events, time);
    if (of !== source || end < taken || events[0]?.sequence !== first) begin(events);
    source = of;
    const fresh = events.slice(taken, end);
    note(fresh, log.calls, log);
    appendRows(log.rows, fresh, log.calls);
    fresh.slice(-SPOKEN).forEach(stream.append);
    taken = end;
    Object.assign(log, {
      ready: of.ready,
      complete: of.complete,
      cut: of.cut,
      problem: of.problem,
      version: log.version + 1,
    });
  }
  return { log, show };
}

// Returns how many of the ordered events are not after `time`.
function upTo(events: LogEvent[], time: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

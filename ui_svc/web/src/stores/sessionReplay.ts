// A session at the replayed moment, or live.
import { computed, watchEffect, type Ref } from "vue";
import { now } from "../browser/clock";
import { nothing } from "../model/spending";
import { plain } from "../model/text";
import type { Attempt, LogEvent } from "../model/types";
import { createReplayLog } from "./replayLog";
import type { LiveLog, Log } from "./sessionLog";

// What the modal knows of an attempt and of its epic.
export interface Details {
  attempt?: Attempt | null;
  attempts: Attempt[];
  [field: string]: any;
}

const MARKS: Record<string, (event: LogEvent) => [string, string] | null> = {
  approval_requested: (event) => ["wait", `Asks: ${plain(event.question ?? "")}`],
  approval_resolved: (event) => ["quiet", event.approved ? "Allowed" : "Denied"],
  screenshot: (event) => ["run", `Screenshot: ${plain(event.caption ?? "")}`],
  check_finished: (event) => [
    event.ok ? "ok" : "bad",
    `Check ${plain(event.name ?? "")} ${event.ok ? "passed" : "failed"}`,
  ],
  session_finished: (event) =>
    ["parked", "rate_limited", "interrupted"].includes(event.outcome)
      ? ["wait", "Session paused"]
      : [event.outcome === "succeeded" ? "ok" : "bad", `Session ${event.outcome}`],
  tool_finished: (event) => (event.ok ? null : ["bad", "A tool call failed"]),
};

function marksOf(events: LogEvent[]) {
  const out: { time: number; tone: string; word: string }[] = [];
  for (const event of events) {
    const mark = MARKS[event.type]?.(event);
    if (mark) out.push({ time: event.time, tone: mark[0], word: mark[1] });
  }
  return out;
}

// The epic's attempts as of `time`.
function detailsAt(details: Details, time: number): Details {
  const attempts = details.attempts
    .filter((each) => (each.started ?? 0) <= time)
    .map((each): Attempt =>
      each.ended && each.ended > time
        ? {
            ...each,
            state: "running",
            ended: null,
            reason: "",
            commit: "",
            kept_ref: "",
            diff: null,
            usage: nothing(),
          }
        : each,
    );
  return { ...details, attempts };
}

// `session` and `details` are refs; `moment` returns milliseconds, 0 for now.
export function useReplay(
  session: Readonly<Ref<{ log: LiveLog }>>,
  details: Readonly<Ref<Details>>,
  moment: () => number,
) {
  const past = createReplayLog();
  watchEffect(() => {
    const { log } = session.value;
    void log.version;
    if (moment()) past.show(log, moment());
  });
  return {
    log: computed((): Log => (moment() ? past.log : session.value.log)),
    known: computed(() => (moment() ? detailsAt(details.value, moment()) : details.value)),
    bar: computed(() => {
      const whole = details.value.attempt;
      if (!moment() || !whole?.started) return null;
      const { log } = session.value;
      void log.version;
      return {
        from: whole.started,
        to: whole.ended ?? now.value,
        live: !whole.ended,
        marks: marksOf(log.events),
      };
    }),
  };
}

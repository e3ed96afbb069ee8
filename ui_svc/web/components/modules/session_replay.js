// A session at the replayed moment, or live.
import { computed, watchEffect } from "vue";
import { now } from "./clock.js";
import { createReplayLog } from "./replay_log.js";
import { nothing } from "./spending.js";
import { plain } from "./text.js";

const MARKS = {
  approval_requested: (event) => ["wait", `Asks: ${plain(event.question ?? "")}`],
  approval_resolved: (event) => ["quiet", event.approved ? "Allowed" : "Denied"],
  screenshot: (event) => ["run", `Screenshot: ${plain(event.caption ?? "")}`],
  check_finished: (event) => [
    event.ok ? "ok" : "bad",
    `Check ${plain(event.name ?? "")} ${event.ok ? "passed" : "failed"}`,
  ],
  session_finished: (event) => [event.outcome === "succeeded" ? "ok" : "bad", `Session ${event.outcome}`],
  tool_finished: (event) => (event.ok ? null : ["bad", "A tool call failed"]),
};

function marksOf(events) {
  const out = [];
  for (const event of events) {
    const mark = MARKS[event.type]?.(event);
    if (mark) out.push({ time: event.time, tone: mark[0], word: mark[1] });
  }
  return out;
}

// The epic's attempts as of `time`.
function detailsAt(details, time) {
  const attempts = details.attempts
    .filter((each) => each.started <= time)
    .map((each) =>
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
export function useReplay(session, details, moment) {
  const past = createReplayLog();
  watchEffect(() => {
    const { log } = session.value;
    void log.version;
    if (moment()) past.show(log, moment());
  });
  return {
    log: computed(() => (moment() ? past.log : session.value.log)),
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

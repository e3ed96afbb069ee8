// The moment of a run that its page shows: now, or one that is replayed.
import { computed, onUnmounted, toRef, watch } from "vue";
import { now } from "../browser/clock";
import { RUN_ENDED } from "../model/status";
import { createReplay } from "./replayStore";
import type { RunData, RunStore } from "./runStore";

// The address is updated at most this often while the moment moves.
const SETTLED = 400;

const MARKS: Record<string, [string, string]> = {
  task_accepted: ["ok", "accepted"],
  task_failed: ["bad", "failed"],
  approval_requested: ["wait", "asks"],
  merge_finished: ["ok", "merged"],
  merge_conflicted: ["bad", "merge conflict"],
};

// `at` is the page's address, `write` writes it to the browser.
export function useRunReplay(live: RunStore, at: { moment: number }, write: () => void) {
  const moment = toRef(at, "moment");
  const replay = createReplay(live, moment);
  let due: ReturnType<typeof setTimeout> | undefined;
  watch(moment, () => {
    due ??= setTimeout(() => {
      due = undefined;
      write();
    }, SETTLED);
  });
  onUnmounted(() => clearTimeout(due));
  return {
    store: computed((): RunData => (moment.value && replay.ready.value ? replay : live)),
    problem: replay.problem,
    show: (time: number) => (moment.value = Math.round(time)),
    begin: () => (moment.value = live.run.value?.started ?? live.run.value?.created ?? 0),
    bar: computed(() => {
      const run = live.run.value;
      if (!moment.value || !run?.started) return null;
      const marks = replay.turns.value
        .filter((turn) => MARKS[turn.type])
        .map((turn) => ({
          time: turn.time,
          tone: MARKS[turn.type][0],
          word: `${turn.task || turn.epic} ${MARKS[turn.type][1]}`,
        }));
      return { from: run.started, to: run.ended ?? now.value, live: !RUN_ENDED.has(run.state), marks };
    }),
  };
}

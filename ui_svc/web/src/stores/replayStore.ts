// A run at a moment, in place of the live store.
import { computed, reactive, ref, shallowReactive, shallowRef, watch, type Ref } from "vue";
import { get, messageOf } from "../browser/api";
import { pastOf } from "../model/past";
import type { Epic, Run, Summary, Task, Turn } from "../model/types";
import type { RunStore } from "./runStore";
import { viewsOf } from "./runViews";

const REFUSAL = "This is a replay. Go back to now to act.";

// `moment` is a ref of milliseconds; 0 is now. The turns are fetched once a moment is chosen.
export function createReplay(live: RunStore, moment: Ref<number>) {
  const turns = shallowRef<Turn[]>([]);
  const problem = ref("");
  const run = shallowRef<Run | null>(null);
  const epics = shallowReactive(new Map<string, Epic>());
  const tasks = shallowReactive(new Map<string, Task>());
  let last = 0;

  async function read() {
    problem.value = "";
    try {
      const news = await get(`${live.name}/turns?of=history&after=${last}`);
      turns.value = turns.value.concat(news.turns.filter((turn: Turn) => turn.sequence > last));
      last = Math.max(last, news.last);
    } catch (error) {
      problem.value = messageOf(error);
    }
  }
  watch(
    () => moment.value > 0 && live.run.value?.sequence,
    (wanted) => wanted && wanted > last && read(),
    { immediate: true },
  );
  watch(
    [moment, turns, live.run],
    () => {
      if (!moment.value || !live.run.value) return;
      const past = pastOf(live, turns.value, moment.value);
      run.value = past.run;
      for (const epic of past.epics) epics.set(epic.name, epic);
      for (const task of past.tasks) tasks.set(task.name, task);
    },
    { immediate: true },
  );

  const refuse = () => Promise.reject(new Error(REFUSAL));
  return {
    name: live.name,
    moment,
    turns,
    problem,
    read,
    run,
    epics,
    tasks,
    summaries: new Map<string, Summary>(),
    order: live.order,
    pending: reactive(new Map<string, string>()),
    status: live.status,
    past: true,
    see: () => () => {},
    stop: refuse,
    resolve: refuse,
    ...viewsOf({ epics, tasks, order: live.order }),
    // Includes attempts that start after the moment.
    hasAttempt: live.hasAttempt,
    ready: computed(() => !!run.value && turns.value.length > 0),
  };
}

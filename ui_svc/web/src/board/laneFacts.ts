// The facts of an epic that its lane shows, as a card or as one row.
import { computed } from "vue";
import { plural } from "../model/format";
import { EPIC, epicLook, idle, OUT_OF_SYNC, RUN, status, TASK } from "../model/status";
import type { Epic, Look, Task } from "../model/types";
import type { RunData } from "../stores/runStore";

const isPaused = (store: RunData) => store.run.value?.state === "paused";

// The state of an epic as shown: a started one is paused while its run is.
export function stateOf(store: RunData, epic: Epic): Look {
  if (epic.sync?.state === "held") return OUT_OF_SYNC;
  if (!idle(epic, store.tasksOf(epic.name))) return epicLook(epic);
  return isPaused(store) ? status(RUN, "paused") : status(EPIC, "ready");
}

// Why an epic does not continue: its own reason, or what its whole run waits for. While a session of the run works,
// the run's reason is about others.
export function waitOf(store: RunData, epic: Epic): string {
  if (epic.reason || !["ready", "running"].includes(epic.state)) return epic.reason;
  return store.running.value.length ? "" : (store.run.value?.waits_for ?? "");
}

export type LaneFacts = ReturnType<typeof useLane>;

export function useLane(props: Readonly<{ store: RunData; name: string }>) {
  const epic = computed((): Epic => props.store.epics.get(props.name)!);
  const tasks = computed(() => props.store.tasksOf(props.name));
  const state = computed(() => stateOf(props.store, epic.value));
  const note = computed(() => {
    if (epic.value.reason) return epic.value.reason;
    if (epic.value.state === "blocked") {
      const titles = epic.value.depends_on.map(
        (key) => props.store.epics.get(`${props.store.name}/epics/${key}`)?.title ?? key,
      );
      return `Starts when ${titles.join(" and ")} ${titles.length > 1 ? "are" : "is"} merged`;
    }
    if (isPaused(props.store)) return "Starts when the run resumes";
    if (epic.value.state === "ready")
      return waitOf(props.store, epic.value) || "Starts as soon as a slot is free";
    return `${plural(epic.value.tasks.total, "task")}, none started`;
  });
  return {
    epic,
    // That it works elsewhere than before, until it has ended.
    moved: computed(() => (epic.value.ended ? "" : epic.value.moved)),
    note,
    // Not repeated if its card says it already.
    says: computed(() => epic.value.state !== "running"),
    shown: computed(() => props.store.shownTask(props.name)),
    state,
    tasks,
    toneOf: (task: Task) => (task.state === "skipped" ? "skip" : status(TASK, task.state).tone),
  };
}

// What a lane shows of its epic, whether it is drawn large or as one row.
import { computed } from "vue";
import { plural } from "./format.js";
import { EPIC, status, TASK } from "./status.js";

export function useLane(props) {
  const epic = computed(() => props.store.epics.get(props.name));
  const state = computed(() => status(EPIC, epic.value.state));
  const note = computed(() => {
    if (epic.value.reason) return epic.value.reason;
    if (epic.value.state === "blocked") {
      const titles = epic.value.depends_on.map((key) => props.store.epics.get(`${props.store.name}/epics/${key}`)?.title ?? key);
      return `Starts when ${titles.join(" and ")} ${titles.length > 1 ? "are" : "is"} merged`;
    }
    if (epic.value.state === "ready") return "Starts as soon as a slot is free";
    return `${plural(epic.value.tasks.total, "task")}, none started`;
  });
  return {
    epic,
    note,
    // What its card says already needs no second word.
    says: computed(() => epic.value.state !== "running"),
    shown: computed(() => props.store.shownTask(props.name)),
    state,
    tasks: computed(() => props.store.tasksOf(props.name)),
    toneOf: (task) => (task.state === "skipped" ? "skip" : status(TASK, task.state).tone),
  };
}

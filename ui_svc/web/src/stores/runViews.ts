// The board's data, derived from the epics and tasks of a run, now or at a moment.
import { computed } from "vue";
import type { Epic, Task } from "../model/types";
import { ATTEMPT_LIVE, groupOf, GROUPS } from "../model/status";

// The place of an epic on the board.
export interface LanePlace {
  name: string;
  index: number;
  group: string;
}

export type Views = ReturnType<typeof viewsOf>;

interface Parts {
  epics: ReadonlyMap<string, Epic>;
  tasks: ReadonlyMap<string, Task>;
  order: ReadonlyMap<string, string[]>;
}

// `order` has the names of each epic's tasks in the order in which they run.
export function viewsOf({ epics, tasks, order }: Parts) {
  const tasksOf = (epic: string) => (order.get(epic) ?? []).flatMap((each) => tasks.get(each) ?? []);

  // The candidates of a task that have started, by number.
  const candidatesOf = (task: Task) =>
    Array.from({ length: task.candidates }, (_, place) => tasks.get(`${task.name}@${place + 1}`)).filter(
      (each) => !!each,
    );

  // The task of a candidate; any other task itself.
  const wholeOf = (task: Task) =>
    (task.candidate ? tasks.get(task.name.replace(/@\d$/, "")) : undefined) ?? task;

  // What has sessions for an epic's tasks: candidates, and the tasks without any.
  const workersOf = (epic: string) =>
    tasksOf(epic).flatMap((task) => (task.candidates ? candidatesOf(task) : [task]));

  const lanes = computed((): LanePlace[] => {
    const rank = Object.fromEntries(GROUPS.map((group, place) => [group.key, place]));
    return [...epics.values()]
      .map((epic) => ({ name: epic.name, index: epic.index, group: groupOf(epic, tasksOf(epic.name)) }))
      .sort((a, b) => rank[a.group] - rank[b.group] || a.index - b.index);
  });

  // The task that an epic's card shows: the live one; of an epic that failed, what it
  // failed by; else the one that was tried last.
  function shownTask(epic: string): Task | undefined {
    const tried = workersOf(epic).filter((task) => task.attempt);
    const live = tried.find((task) => task.attempt && ATTEMPT_LIVE.has(task.attempt.state));
    if (live) return live;
    tried.sort((a, b) => (b.attempt?.started ?? 0) - (a.attempt?.started ?? 0));
    const broken = epics.get(epic)?.state === "failed" && tried.find((task) => task.state === "failed");
    // Of several candidates, the chosen one.
    const whole = tried[0] && wholeOf(tried[0]);
    const chosen = whole?.chosen ? tasks.get(`${whole.name}@${whole.chosen}`) : undefined;
    return broken || chosen || tried[0];
  }

  // Running attempts in the order of the board, for ← and →.
  const running = computed(() =>
    lanes.value.flatMap((lane) =>
      workersOf(lane.name).flatMap((task) =>
        task.attempt && ATTEMPT_LIVE.has(task.attempt.state) ? task.attempt.name : [],
      ),
    ),
  );

  // Attempts of a task are numbered from 1 without gaps.
  function hasAttempt(attempt: string): boolean {
    const [, task, number] = /^(.+)\/attempts\/([1-9]\d*)$/.exec(attempt) ?? [];
    return Number(number) <= (tasks.get(task ?? "")?.attempts ?? 0);
  }

  return { candidatesOf, hasAttempt, lanes, running, shownTask, tasksOf, wholeOf };
}

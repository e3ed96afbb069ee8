// The page's data of one run. Each entry is replaced as a whole, so that only
// the card that shows it is redrawn.
import { reactive, ref, shallowReactive, shallowRef } from "vue";
import { post } from "./api.js";
import { follow } from "./follow.js";
import { viewsOf } from "./run_views.js";
import { ATTEMPT_LIVE } from "./status.js";

export function createRunStore(name) {
  const run = shallowRef(null);
  const epics = shallowReactive(new Map());
  const tasks = shallowReactive(new Map());
  // By task.
  const summaries = shallowReactive(new Map());
  // The oldest event of the run's log that is still kept.
  const keptFrom = ref(1);
  // Names of an epic's tasks in the order in which they run.
  const order = shallowReactive(new Map());
  // Requests for an attempt that have not taken effect yet: "stopping", "allowing", "denying".
  const pending = reactive(new Map());

  function apply(news) {
    if (news.run) run.value = news.run;
    if (news.kept_from) keptFrom.value = news.kept_from;
    for (const epic of news.epics ?? []) epics.set(epic.name, epic);
    const grown = new Set();
    for (const task of news.tasks ?? []) {
      if (!tasks.has(task.name)) grown.add(task.epic);
      tasks.set(task.name, task);
      settle(task);
    }
    for (const summary of news.summaries ?? []) {
      summaries.set(summary.attempt.slice(0, summary.attempt.lastIndexOf("/attempts/")), summary);
    }
    if (!grown.size) return;
    const byEpic = Map.groupBy(
      [...tasks.values()].filter((task) => grown.has(task.epic)),
      (task) => task.epic,
    );
    for (const [epic, members] of byEpic) {
      order.set(
        epic,
        members.sort((a, b) => a.position - b.position).map((task) => task.name),
      );
    }
  }

  // Removes pending requests once they have taken effect.
  function settle(task) {
    const attempt = task.attempt;
    const asked = attempt && pending.get(attempt.name);
    if (!asked) return;
    const over = asked === "stopping" ? !ATTEMPT_LIVE.has(attempt.state) : task.state !== "waiting";
    if (over) pending.delete(attempt.name);
  }

  const link = follow({
    ask: "heddle_look_at_run",
    event: "heddle_run",
    room: name,
    onSnapshot: apply,
    onFrame: apply,
  });

  async function ask(attempt, word, path, body) {
    pending.set(attempt, word);
    try {
      await post(path, body);
    } catch (problem) {
      pending.delete(attempt);
      throw problem;
    }
  }

  return {
    name,
    run,
    epics,
    tasks,
    summaries,
    keptFrom,
    order,
    pending,
    status: link.status,
    close: link.stop,
    ...viewsOf({ epics, tasks, order }),
    stop: (attempt) => ask(attempt, "stopping", `${attempt}:stop`),
    resolve: (attempt, id, approved, message, scope) =>
      ask(attempt, approved ? "allowing" : "denying", `${attempt}:resolve`, {
        approval_id: id,
        approved,
        message,
        scope,
      }),
  };
}

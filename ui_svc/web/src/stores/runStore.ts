// The page's data of one run. Each entry is replaced as a whole, so that only
// the card that shows it is redrawn.
import { reactive, ref, shallowReactive, shallowRef } from "vue";
import { post } from "../browser/api";
import { follow, type FeedStatus, type News } from "../browser/follow";
import { socket } from "../browser/socket";
import { ATTEMPT_LIVE } from "../model/status";
import type { Epic, Run, RunParts, Summary, Task } from "../model/types";
import { viewsOf, type Views } from "./runViews";
import { createSight } from "./sight";

// What the parts of a page read of a run: live, or at the moment of a replay.
export interface RunData extends RunParts, Views {
  name: string;
  // By task. Up to date for tasks that something on the page sees.
  summaries: ReadonlyMap<string, Summary>;
  // Requests for an attempt that have not taken effect yet: "stopping", "allowing", "denying".
  pending: ReadonlyMap<string, string>;
  status: FeedStatus;
  // Whether it shows the past: nothing in it can be acted on.
  past: boolean;
  // Keeps the summary of a task up to date until the returned function is called.
  see: (task: string) => () => void;
  stop: (attempt: string) => Promise<void>;
  resolve: (attempt: string, id: string, approved: boolean, message: string, scope: string) => Promise<void>;
}

export type RunStore = ReturnType<typeof createRunStore>;

export function createRunStore(name: string) {
  const run = shallowRef<Run | null>(null);
  const epics = shallowReactive(new Map<string, Epic>());
  const tasks = shallowReactive(new Map<string, Task>());
  const summaries = shallowReactive(new Map<string, Summary>());
  // The oldest event of the run's log that is still kept.
  const keptFrom = ref(1);
  // Names of an epic's tasks in the order in which they run.
  const order = shallowReactive(new Map<string, string[]>());
  const pending = reactive(new Map<string, string>());

  function apply(news: News) {
    if (news.run) run.value = news.run;
    if (news.kept_from) keptFrom.value = news.kept_from;
    for (const epic of news.epics ?? []) epics.set(epic.name, epic);
    const grown = new Set<string>();
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
  function settle(task: Task) {
    const attempt = task.attempt;
    const asked = attempt && pending.get(attempt.name);
    if (!attempt || !asked) return;
    const over = asked === "stopping" ? !ATTEMPT_LIVE.has(attempt.state) : task.state !== "waiting";
    if (over) pending.delete(attempt.name);
  }

  const sight = createSight((cards) => socket().then((it) => it.emit("heddle_see", { name, cards })));
  const link = follow({
    ask: "heddle_look_at_run",
    event: "heddle_run",
    room: name,
    data: () => ({ cards: sight.cards() }),
    onSnapshot: apply,
    onFrame: apply,
  });

  // Summaries of what is in sight come by themselves, in any number between two frames.
  const onSummaries = (news: News) => news.room === name && apply(news);
  socket().then((it) => it.on("heddle_summaries", onSummaries));

  function close() {
    link.stop();
    sight.close();
    socket().then((it) => it.off("heddle_summaries", onSummaries));
  }

  async function ask(attempt: string, word: string, path: string, body = {}) {
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
    past: false,
    see: sight.see,
    close,
    ...viewsOf({ epics, tasks, order }),
    stop: (attempt: string) => ask(attempt, "stopping", `${attempt}:stop`),
    resolve: (attempt: string, id: string, approved: boolean, message: string, scope: string) =>
      ask(attempt, approved ? "allowing" : "denying", `${attempt}:resolve`, {
        approval_id: id,
        approved,
        message,
        scope,
      }),
  };
}

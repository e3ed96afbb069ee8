// The operator's actions for a run, its epics and tasks, each with what it says afterwards.
import { messageOf, post } from "../browser/api";
import { href } from "../browser/paths";
import { plural } from "../model/format";
import { toast } from "../stores/toasts";

// Does it and says so, or says why not; returns whether it was done.
export async function act(path: string, said: string, body: object = {}): Promise<boolean> {
  try {
    await post(path, body);
    toast(said);
    return true;
  } catch (problem) {
    toast(messageOf(problem), "bad");
    return false;
  }
}

// Gives each of these tasks another attempt, and says what was refused.
export async function retryAll(tasks: { name: string; title: string }[]): Promise<void> {
  const results = await Promise.allSettled(tasks.map((task) => post(`${task.name}:retry`)));
  const refused = results.flatMap((result, place) =>
    result.status === "rejected" ? [`${tasks[place].title}: ${messageOf(result.reason)}`] : [],
  );
  const started = tasks.length - refused.length;
  if (started) toast(`${plural(started, "task")} ${started > 1 ? "get" : "gets"} another attempt`);
  if (refused.length) toast(`Not retried: ${refused.join(" ")}`, "bad");
}

export interface Again {
  failed_only: boolean;
  allow_dirty: boolean;
  // The same request sent twice creates one run.
  request_id: string;
}

// Runs it again and opens the new run.
export async function runAgain(run: string, again: Again): Promise<void> {
  const created = await post(`${run}:again`, again);
  location.assign(href(`/${created.name}`));
}

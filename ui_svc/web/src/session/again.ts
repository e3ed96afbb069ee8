// Another attempt of a task, as several tabs offer it.
import { ref } from "vue";
import { messageOf, post } from "../browser/api";
import { toast } from "../stores/toasts";
import type { Task } from "../model/types";

export const canRetry = (task: Pick<Task, "state">) => ["failed", "skipped"].includes(task.state);

// Only if the agent has a session that it may still know.
export const canResume = (task: Pick<Task, "state" | "attempt">) =>
  canRetry(task) && !!task.attempt?.agent_session;

// The same rule as the scheduler's, which decides.
export const canSkip = (task: Pick<Task, "state" | "attempt">) =>
  ["pending", "failed"].includes(task.state) ||
  (task.state === "waiting" && task.attempt?.state === "parked");

type Named = Pick<Task, "name" | "title">;

export function useAgain() {
  // The task whose request has no answer yet.
  const retrying = ref("");
  async function again(task: Named, how: string, said: string) {
    retrying.value = task.name;
    try {
      await post(`${task.name}:${how}`);
      toast(said);
    } catch (problem) {
      toast(messageOf(problem), "bad");
    } finally {
      retrying.value = "";
    }
  }
  return {
    retrying,
    retry: (task: Named) => again(task, "retry", `${task.title} gets another attempt`),
    resume: (task: Named) => again(task, "resume", `${task.title} continues its last session`),
    skip: (task: Named) => again(task, "skip", `${task.title} is skipped`),
    retryFromHere: (task: Named) => again(task, "retryFromHere", `The epic is reset to before ${task.title}`),
  };
}

// How an epic continues after an attempt of it has ended. Pure.
import { ATTEMPT_LIVE } from "../model/status";
import type { Task } from "../model/types";

type Part = Pick<Task, "name" | "title"> & { attempt: { name: string; state: string } | null };

const numberOf = (attempt: string) => Number(attempt.slice(attempt.lastIndexOf("/") + 1));

// Returns the live attempt of the same task or of a later one; null if there is none. `tasks` are in their order.
export function followerOf(ended: string, tasks: Part[]): { title: string; attempt: string } | null {
  const place = tasks.findIndex((task) => ended.startsWith(`${task.name}/attempts/`));
  if (place < 0) return null;
  for (const task of tasks.slice(place)) {
    const { attempt } = task;
    if (!attempt || !ATTEMPT_LIVE.has(attempt.state)) continue;
    if (task !== tasks[place]) return { title: task.title, attempt: attempt.name };
    if (numberOf(attempt.name) > numberOf(ended))
      return { title: `Attempt ${numberOf(attempt.name)}`, attempt: attempt.name };
  }
  return null;
}

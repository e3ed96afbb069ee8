// What came of a run that has ended: what is merged, what is not and why, and the commands that come next. Pure.
import { plural } from "../model/format";
import type { Epic, Run, RunParts, Task } from "../model/types";

type Store = RunParts & { tasksOf: (epic: string) => Task[] };

export interface FailedTask {
  name: string;
  title: string;
  epic: string;
  why: string;
  // Empty if it was never tried.
  attempt: string;
  // Its agent may still know its session.
  resumes: boolean;
}

export interface Command {
  word: string;
  text: string;
}

export function outcomeOf(store: Store) {
  const epics = [...store.epics.values()].sort((a, b) => a.index - b.index);
  const tasks = epics.flatMap((epic) => store.tasksOf(epic.name).map((task) => ({ task, epic })));
  return {
    merged: epics.filter((epic) => epic.merge_commit),
    conflicts: epics.filter((epic) => epic.state === "conflicted"),
    unmerged: epics.filter(
      (epic) => !epic.merge_commit && epic.state !== "conflicted" && epic.tasks.accepted,
    ),
    failed: tasks.filter(({ task }) => task.state === "failed").map(failure),
    skipped: tasks.filter(({ task }) => task.state === "skipped").length,
  };
}

export type Outcome = ReturnType<typeof outcomeOf>;

const failure = ({ task, epic }: { task: Task; epic: Epic }): FailedTask => ({
  name: task.name,
  title: task.title,
  epic: epic.title || epic.key,
  why: task.reason || task.attempt?.reason || "",
  attempt: task.attempt?.name ?? "",
  resumes: !!task.attempt?.agent_session,
});

// The headline: what was done, and what was not.
export function headline(run: Run, { failed, conflicts, skipped }: Outcome): string {
  const { accepted, total } = run.tasks;
  const done =
    accepted === total ? `All ${plural(total, "task")}` : `${accepted} of ${plural(total, "task")}`;
  const rest = [
    failed.length && `${failed.length} failed`,
    skipped && `${skipped} skipped`,
    conflicts.length && `${plural(conflicts.length, "epic")} not merged because of a conflict`,
  ].filter(Boolean);
  if (run.state === "succeeded" && !rest.length) return `${done} done and merged`;
  return [`${done} done`, ...rest].join(", ");
}

// A word of a POSIX shell.
const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

// What people do next with the result, in a terminal. Empty if nothing was accepted.
export function commandsOf(run: Run): Command[] {
  if (!run.tasks.accepted) return [];
  const merged = run.state === "succeeded" && run.merge_into;
  if (!run.project.startsWith("/")) {
    const branch = quoted(merged ? run.merge_into : run.branch);
    return [{ word: "Get it into your clone", text: `git fetch origin ${branch}` }];
  }
  const git = `git -C ${quoted(run.project)}`;
  if (merged)
    return [
      {
        word: "Push it, if the repository has a remote",
        text: `${git} push origin ${quoted(run.merge_into)}`,
      },
    ];
  const branch = quoted(run.branch);
  return [
    { word: "Merge it into your branch", text: `${git} merge ${branch}` },
    {
      word: "Push it for a pull request, if the repository has a remote",
      text: `${git} push origin ${branch}`,
    },
  ];
}

// Agents that change the plan of a run: what can be asked of them, and where their drafts are shown.
import { newId, post } from "../browser/api";
import { href } from "../browser/paths";
import type { Epic, Run, Task } from "../model/types";

export interface Revision {
  kind: "rest" | "split";
  // The key of the epic; empty: the whole run.
  epic: string;
  // What to consider, in plain words.
  goal?: string;
}

// Returns the address of the page with the plan of a draft.
export const planOfDraft = (run: Pick<Run, "name" | "revises">) => {
  const draft = run.name.slice("runs/".length);
  return run.revises ? `/${run.revises}/plan?draft=${draft}` : `/new?draft=${draft}`;
};

// Lets an agent change the plan of a run; returns its draft.
export const startRevision = (run: string, asked: Revision, request = newId()) =>
  post(`${run}/plan:revise`, { ...asked, request_id: request });

// The same, and opens the page with the plan.
export async function openRevision(run: string, asked: Revision): Promise<void> {
  const draft = await startRevision(run, asked);
  location.assign(href(planOfDraft({ name: draft.run.name, revises: run })));
}

// Returns what can be asked about a run, each with words for it; what a failure needs comes first.
export function revisionsOf(
  epics: Epic[],
  tasksOf: (epic: string) => Task[],
): (Revision & { word: string })[] {
  const failed = epics.filter((epic) => tasksOf(epic.name).some((task) => task.state === "failed"));
  const waiting = epics.filter((epic) => tasksOf(epic.name).some((task) => task.state === "pending"));
  const rest = failed.map((epic) => ({
    kind: "rest" as const,
    epic: epic.key,
    word: `Plan the rest of ${epic.title || epic.key} again`,
  }));
  const all = { kind: "rest" as const, epic: "", word: "Plan the rest of the run again" };
  const splits = waiting.map((epic) => ({
    kind: "split" as const,
    epic: epic.key,
    word: `Split ${epic.title || epic.key}`,
  }));
  const any = failed.length > 1 || (!failed.length && waiting.length > 0);
  return [...(any ? [all] : []), ...rest, ...splits];
}

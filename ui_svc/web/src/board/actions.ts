// What the operator can do for an epic that waits or failed, as its card and row offer it. Pure.
import { plural } from "../model/format";
import type { Epic, Run, Task } from "../model/types";
import type { Revision } from "../run/revise";

export interface Action {
  // The path of the request; of a link, the epic that its page is about.
  path: string;
  link?: boolean;
  word: string;
  // The word where there is little room.
  short: string;
  icon: string;
  // Says that it was requested: the outcome comes later.
  said: string;
  primary: boolean;
  body?: object;
  // What an agent is asked instead; its draft is opened.
  revises?: Revision;
}

// Open tasks are left that could run on new commits.
const OPEN = new Set(["pending", "running", "waiting"]);

type About = Pick<Epic, "name" | "key" | "title" | "state" | "sync" | "conflict_files">;

// `base`: the branch that the run follows, and how far its epics are behind.
export function actionsOf(epic: About, tasks: Task[], base: Run["base"] = null): Action[] {
  return [...decisions(epic, tasks), ...syncs(epic, tasks, base)];
}

// New commits of the branch: to take them in, or to decide about their conflict.
function syncs(epic: About, tasks: Task[], base: Run["base"]): Action[] {
  const path = `${epic.name}:sync`;
  if (epic.sync?.state === "held")
    return [
      {
        path: `${epic.name}:resolve`,
        word: "Resolve with an agent",
        short: "Resolve",
        icon: "bolt",
        said: `The next agent of ${epic.title} resolves the conflict first`,
        primary: true,
      },
      {
        path,
        word: "Merge again",
        short: "Merge again",
        icon: "merge",
        said: `Merge of ${epic.sync.branch} into ${epic.title} requested`,
        primary: false,
      },
      {
        path,
        body: { cancel: true },
        word: `Continue without ${epic.sync.branch}`,
        short: "Continue",
        icon: "minus",
        said: `${epic.title} continues without ${epic.sync.branch}`,
        primary: false,
      },
    ];
  const count = base?.behind[epic.key] ?? 0;
  if (!base || !count || isAsked(epic) || !tasks.some((task) => OPEN.has(task.state))) return [];
  return [
    {
      path,
      word: `Take in ${plural(count, "new commit")} of ${base.branch}`,
      short: "Take in",
      icon: "merge",
      said: `${epic.title} takes in ${base.branch} before its next task`,
      primary: false,
    },
  ];
}

// The operator has asked to take new commits in, and the next attempt will.
export const isAsked = (epic: Pick<Epic, "sync">) =>
  epic.sync?.state === "requested" || epic.sync?.state === "resolving";

function decisions(epic: About, tasks: Task[]): Action[] {
  const merge = { path: `${epic.name}:merge`, icon: "merge", said: `Merge of ${epic.title} requested` };
  if (epic.state === "awaiting_merge") return [{ ...merge, word: "Merge", short: "Merge", primary: true }];
  if (epic.state === "dropped")
    return [{ ...merge, word: "Merge after all", short: "Merge", primary: false }];
  if (epic.state === "conflicted")
    return [
      {
        path: `${epic.name}:resolve`,
        word: "Resolve with an agent",
        short: "Resolve",
        icon: "bolt",
        said: `An agent will resolve the conflict of ${epic.title}`,
        primary: true,
      },
      ...(epic.conflict_files.length
        ? [
            {
              path: epic.name,
              link: true,
              word: "Resolve here",
              short: "Resolve here",
              icon: "columns",
              said: "",
              primary: false,
            },
          ]
        : []),
      { ...merge, word: "Merge again", short: "Merge again", primary: false },
    ];
  const failed = tasks.filter((task) => task.state === "failed");
  const again = {
    path: `${epic.name}:revise`,
    word: "Plan the rest again",
    short: "Plan again",
    icon: "edit",
    said: "",
    primary: false,
    revises: { kind: "rest" as const, epic: epic.name.split("/").at(-1)! },
  };
  return [
    ...failed.map((task) => ({
      path: `${task.name}:retry`,
      word: tasks.length > 1 ? `Retry ${task.title}` : "Retry",
      short: "Retry",
      icon: "retry",
      said: `${task.title} gets another attempt`,
      primary: false,
    })),
    ...(failed.length ? [again] : []),
  ];
}

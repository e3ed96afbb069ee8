// What the operator can do for an epic that waits or failed, as its card and row offer it. Pure.
import type { Epic, Task } from "../model/types";
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
  // What an agent is asked instead; its draft is opened.
  revises?: Revision;
}

type Acted = Pick<Epic, "name" | "title" | "state" | "conflict_files">;

export function actionsOf(epic: Acted, tasks: Task[]): Action[] {
  const merge = { path: `${epic.name}:merge`, icon: "merge", said: `Merge of ${epic.title} requested` };
  if (epic.state === "awaiting_merge") return [{ ...merge, word: "Merge", short: "Merge", primary: true }];
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

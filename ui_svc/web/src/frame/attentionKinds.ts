// The kinds of items that wait for the operator, as ui_svc/views/attention.py names them.

export interface Kind {
  word: string;
  icon: string;
  tone: string;
  again?: { word: string; of: "task" | "epic" | "run"; action: string; said: (title: string) => string };
}

// `again`: the action of its button, on the part of the run that `of` names. A request has no outcome yet, so
// `said` claims none.
export const KINDS: Record<string, Kind> = {
  task: {
    word: "Failed",
    icon: "cross",
    tone: "bad",
    again: { word: "Retry", of: "task", action: "retry", said: (title) => `${title} gets another attempt` },
  },
  run: { word: "The run failed", icon: "cross", tone: "bad" },
  conflict: {
    word: "Merge conflict",
    icon: "merge",
    tone: "bad",
    again: {
      word: "Merge again",
      of: "epic",
      action: "merge",
      said: (title) => `Merge of ${title} requested`,
    },
  },
  unchanged: { word: "Accepted without a change", icon: "minus", tone: "quiet" },
  held: { word: "Merge on hold", icon: "merge", tone: "wait" },
  merge: {
    word: "Awaiting your merge",
    icon: "merge",
    tone: "wait",
    again: { word: "Merge", of: "epic", action: "merge", said: (title) => `Merge of ${title} requested` },
  },
  sync: {
    word: "Conflicts with your branch",
    icon: "merge",
    tone: "wait",
    again: {
      word: "Resolve with an agent",
      of: "epic",
      action: "resolve",
      said: (title) => `The next agent of ${title} resolves the conflict first`,
    },
  },
  environment: { word: "Waiting for its environment", icon: "clock", tone: "wait" },
  push: {
    word: "Not pushed",
    icon: "cross",
    tone: "bad",
    again: { word: "Push again", of: "run", action: "push", said: (title) => `Push of ${title} requested` },
  },
  budget: { word: "Paused", icon: "coin", tone: "wait" },
  provider: {
    word: "Paused",
    icon: "lock",
    tone: "wait",
    again: { word: "Resume", of: "run", action: "resume", said: (title) => `${title} resumes` },
  },
  question: { word: "Question", icon: "hand", tone: "wait" },
};

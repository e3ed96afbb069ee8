// The draft of the form for a run: it survives a reload and a failed start.
const KEPT = "heddle-draft";

// Plan files are at most 4 MiB.
const MOST_BYTES = 4 << 20;

// The choices of the form beyond the plan; empty ones are left to the plan or to Heddle.
export interface Options {
  agentKind: string;
  command: string;
  parallel: string | number;
  base: string;
  into: string;
  dollars: string | number;
  planned: any;
}

export interface Draft {
  project: string;
  text: string;
  allowDirty: boolean;
  // The draft that the plan comes from; empty if it comes from none.
  drafted: string;
  options: Options;
  // Whether nothing was kept: the person's own defaults apply.
  fresh?: boolean;
}

const OPTIONS: Options = {
  agentKind: "",
  command: "",
  parallel: "",
  base: "",
  into: "",
  dollars: "",
  planned: null,
};

export function readDraft(): Draft {
  let kept: Partial<Draft> = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    // A broken draft is ignored.
  }
  return {
    project: kept.project ?? localStorage.getItem("heddle-project") ?? "",
    text: kept.text ?? "",
    allowDirty: false,
    drafted: kept.drafted ?? "",
    options: { ...OPTIONS, ...kept.options },
    fresh: !kept.options,
  };
}

export function keepDraft({ project, text, drafted, options }: Draft): void {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ project, text, drafted, options }));
  } catch {
    // Storage is full: the draft is only on the page.
  }
}

// Returns why a file cannot be a plan; empty if it may be one.
export function whyNoPlan(file: Pick<File, "name" | "size">): string {
  if (file.size > MOST_BYTES)
    return `${file.name} is larger than 4 MiB, the limit of a plan. Choose another file; your draft is unchanged.`;
  return "";
}

// What was typed into the form for a run: it outlives a reload, and a start that went wrong.
const KEPT = "heddle-draft";

// Plan files are at most 4 MiB; more is no plan.
const MOST_BYTES = 4 << 20;

const OPTIONS = { agentKind: "", command: "", parallel: "", base: "", into: "", dollars: "", planned: null };

export const EXAMPLE = `name: First run
epics:
  - key: backend
    title: Backend API
    touches: ["api/**"]
    tasks:
      - key: health
        title: Add a health endpoint
        estimate: 10m
        prompt: |
          Add GET /health that answers 200 with {"ok": true}, and a test for it.
        checks:
          - name: tests
            run: pytest -q
`;

export function readDraft() {
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    // A broken one is none.
  }
  return {
    project: kept.project ?? localStorage.getItem("heddle-project") ?? "",
    text: kept.text ?? "",
    allowDirty: false,
    options: { ...OPTIONS, ...kept.options },
  };
}

export function keepDraft({ project, text, options }) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ project, text, options }));
  } catch {
    // No room: then it is only on the page.
  }
}

// Returns why a file cannot be a plan; empty if it may be one.
export function whyNoPlan(file) {
  if (file.size > MOST_BYTES)
    return `${file.name} is larger than 4 MiB, which no plan is. Choose another file; what you typed is still here.`;
  return "";
}

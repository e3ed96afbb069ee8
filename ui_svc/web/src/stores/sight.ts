// Which cards of a run somebody looks at: the web app sends the summaries of these only.

// ms that a scroll may take until the web app learns where it led.
const SETTLE = 50;

// `tell` gets the tasks in sight after each change of them.
export function createSight(tell: (cards: string[]) => void) {
  // How many parts of the page show a task.
  const shown = new Map<string, number>();
  let told = "";
  let due: ReturnType<typeof setTimeout> | null = null;

  // A hidden tab shows nothing.
  function cards(): string[] {
    const now = document.hidden ? [] : [...shown.keys()].sort();
    told = now.join();
    return now;
  }
  function note() {
    due ??= setTimeout(() => {
      due = null;
      const before = told;
      const now = cards();
      if (told !== before) tell(now);
    }, SETTLE);
  }
  // Returns a function that ends it.
  function see(task: string): () => void {
    shown.set(task, (shown.get(task) ?? 0) + 1);
    note();
    return () => {
      const left = shown.get(task)! - 1;
      if (left) shown.set(task, left);
      else shown.delete(task);
      note();
    };
  }
  function close() {
    document.removeEventListener("visibilitychange", note);
    if (due) clearTimeout(due);
  }
  document.addEventListener("visibilitychange", note);
  return { cards, close, see };
}

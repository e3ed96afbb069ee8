// Keyboard shortcuts of an open session.
import { isTyping } from "../browser/typing";

// The keys of the attention list, while the session has a question.
const ANSWERS: Record<string, string> = { a: "allow", d: "deny", m: "message" };

const isPlain = (event: KeyboardEvent) =>
  !isTyping(event) && !event.metaKey && !event.ctrlKey && !event.altKey;

// Returns whether the key answered the question in `dialog`; it then does not reach the page below.
export function answerByKey(event: KeyboardEvent, dialog: Element): boolean {
  const button =
    isPlain(event) &&
    ANSWERS[event.key] &&
    dialog.querySelector<HTMLElement>(`.approval [data-answer="${ANSWERS[event.key]}"]`);
  if (!button) return false;
  event.preventDefault();
  event.stopPropagation();
  button.click();
  return true;
}

// Returns -1 or 1 if the key steps to the previous or next agent, else 0.
export function stepByKey(event: KeyboardEvent): number {
  if (!isPlain(event) || event.defaultPrevented) return 0;
  // The left and right keys belong to the tabs while one of them has the focus.
  const onTab = (event.target as Element).getAttribute?.("role") === "tab";
  if (event.key === "k" || (event.key === "ArrowLeft" && !onTab)) return -1;
  if (event.key === "j" || (event.key === "ArrowRight" && !onTab)) return 1;
  return 0;
}

// Returns the index of the tab that the key selects, from `at` of `count`; undefined if none.
export function tabByKey(event: KeyboardEvent, at: number, count: number): number | undefined {
  const steps: Record<string, number> = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: count - 1 };
  const to = steps[event.key];
  return to === undefined ? undefined : (to + count) % count;
}

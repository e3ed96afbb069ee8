// Which epics an epic waits for, and which wait for it: each leads to its lane.
import { elements } from "../browser/elements";

// Scrolls to the lane of an epic and highlights it briefly.
export function show(key: string): void {
  const lane = document.querySelector(`[data-epic="${CSS.escape(key)}"]`);
  if (!lane) return;
  lane.scrollIntoView({ block: "center" });
  lane.classList.add("is-shown");
  setTimeout(() => lane.classList.remove("is-shown"), 1600);
  elements("a, button", lane)[0]?.focus({ preventScroll: true });
}

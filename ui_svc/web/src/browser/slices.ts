// A long list is drawn in slices: the visible part at once, the rest while the browser is idle.
import { onUnmounted, ref, watch } from "vue";
import { whenIdle } from "./idle";

// The number that a screen shows, and that can be drawn between two frames.
const FIRST = 9;

const MORE = 6;

// ms.
const PATIENCE = 100;

// Returns how many of `total()` items to draw now.
export function useSlices(total: () => number) {
  const drawn = ref(FIRST);
  let callOff: (() => void) | null = null;
  const next = () => {
    callOff = null;
    drawn.value += MORE;
  };
  function plan() {
    if (callOff || drawn.value >= total()) return;
    // Lets the browser paint before the next slice.
    const due = requestAnimationFrame(() => (callOff = whenIdle(next, PATIENCE)));
    callOff = () => cancelAnimationFrame(due);
  }
  watch([drawn, total], plan, { immediate: true });
  onUnmounted(() => callOff?.());
  return drawn;
}

// Whether a component is in sight, or nearly: of a thousand cards a screen shows ten.
import { computed, getCurrentInstance, onMounted, onUnmounted, ref } from "vue";
import { now } from "./clock.js";

const NEARLY = "300px";
const cells = new WeakMap();
const observer = new IntersectionObserver((entries) => entries.forEach((each) => (cells.get(each.target).value = each.isIntersecting)), { rootMargin: NEARLY });

export function useInSight() {
  const seen = ref(true);
  const { proxy } = getCurrentInstance();
  let root = null;
  onMounted(() => {
    // What shows nothing yet has no element.
    if (!(proxy.$el instanceof Element)) return;
    root = proxy.$el;
    cells.set(root, seen);
    observer.observe(root);
  });
  onUnmounted(() => root && observer.unobserve(root));
  return seen;
}

// The clock, which stands still out of sight.
export function useClock() {
  const inSight = useInSight();
  return computed((before) => (before === undefined || inSight.value ? now.value : before));
}

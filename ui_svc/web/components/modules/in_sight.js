// Whether a component is in sight, or nearly: of a thousand cards a screen shows ten.
import { computed, getCurrentInstance, inject, onMounted, onUnmounted, provide, ref } from "vue";
import { now } from "./clock.js";

const NEARLY = "300px";
const IN_SIGHT = Symbol("in sight");
const COVERED = Symbol("covered");
const cells = new WeakMap();
const observer = new IntersectionObserver(
  (entries) => entries.forEach((each) => (cells.get(each.target).value = each.isIntersecting)),
  { rootMargin: NEARLY },
);

// What lies inside the calling component is out of sight while `covered()`.
export const provideCover = (covered) => provide(COVERED, covered);

// The component answers for all that it is made of.
export function useInSight() {
  const answer = inject(IN_SIGHT, null);
  if (answer) return answer;
  const covered = inject(COVERED, () => false);
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
  const inSight = computed(() => seen.value && !covered());
  provide(IN_SIGHT, inSight);
  return inSight;
}

// The clock, which stands still out of sight.
export function useClock() {
  const inSight = useInSight();
  return computed((before) => (before === undefined || inSight.value ? now.value : before));
}

// Whether a component is in or near the viewport: a screen shows ten of a thousand cards.
import {
  computed,
  getCurrentInstance,
  inject,
  onMounted,
  onUnmounted,
  provide,
  ref,
  type ComputedRef,
  type InjectionKey,
  type Ref,
} from "vue";
import { now } from "./clock";

const NEARLY = "300px";

const IN_SIGHT: InjectionKey<ComputedRef<boolean>> = Symbol("in sight");

const COVERED: InjectionKey<() => boolean> = Symbol("covered");

const cells = new WeakMap<Element, Ref<boolean>>();

const observer = new IntersectionObserver(
  (entries) =>
    entries.forEach((each) => {
      const cell = cells.get(each.target);
      if (cell) cell.value = each.isIntersecting;
    }),
  { rootMargin: NEARLY },
);

// Components inside the calling one count as out of sight while `covered()`.
export const provideCover = (covered: () => boolean) => provide(COVERED, covered);

// The component answers for all its children.
export function useInSight(): ComputedRef<boolean> {
  const answer = inject(IN_SIGHT, null);
  if (answer) return answer;
  const covered = inject(COVERED, () => false);
  const seen = ref(true);
  const proxy = getCurrentInstance()?.proxy;
  let root: Element | null = null;
  onMounted(() => {
    // A component that shows nothing yet has no element.
    if (!(proxy?.$el instanceof Element)) return;
    root = proxy.$el;
    cells.set(root, seen);
    observer.observe(root);
  });
  onUnmounted(() => root && observer.unobserve(root));
  const inSight = computed(() => seen.value && !covered());
  provide(IN_SIGHT, inSight);
  return inSight;
}

// The clock, which stops while the component is out of sight.
export function useClock() {
  const inSight = useInSight();
  return computed<number>((before) => (before === undefined || inSight.value ? now.value : before));
}

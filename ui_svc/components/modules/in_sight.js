// Whether a component is in sight, or nearly: of a thousand cards a screen shows ten.
import { getCurrentInstance, onMounted, onUnmounted, ref } from "vue";

const NEARLY = "300px";
const cells = new WeakMap();
const observer = new IntersectionObserver((entries) => entries.forEach((each) => (cells.get(each.target).value = each.isIntersecting)), { rootMargin: NEARLY });

export function useInSight() {
  const seen = ref(true);
  const { proxy } = getCurrentInstance();
  let root = null;
  onMounted(() => {
    root = proxy.$el;
    cells.set(root, seen);
    observer.observe(root);
  });
  onUnmounted(() => observer.unobserve(root));
  return seen;
}

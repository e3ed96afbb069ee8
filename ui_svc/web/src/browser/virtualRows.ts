// A long list of rows of equal height of which only the visible ones exist. It follows
// its end until the reader scrolls up, and then does not move.
import { computed, nextTick, onMounted, onUnmounted, ref, watch, type Ref } from "vue";

// Keys grow with the list.
interface Keyed {
  key: number;
}

const SPARE = 20;

// Returns the index of the first row that is not before `key`.
export function placeOf(list: Keyed[], key: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

// `height` is that of a row, in pixels; `box` is the element that scrolls.
export function useRows<Row extends Keyed>(list: Readonly<Ref<Row[]>>, height: number) {
  const box = ref<HTMLElement | null>(null);
  const top = ref(0);
  const view = ref(600);
  const following = ref(true);
  const seen = ref(0);
  // Where the list was scrolled to for the sake of a row; it does not follow its end from there.
  let held = -1;

  const start = computed(() =>
    Math.max(0, Math.min(Math.floor(top.value / height) - SPARE, list.value.length - 1)),
  );
  const end = computed(() => Math.ceil((top.value + view.value) / height) + SPARE);
  const window = computed(() => list.value.slice(start.value, end.value));
  const lastKey = () => list.value[list.value.length - 1]?.key ?? 0;
  const fresh = computed(() =>
    following.value ? 0 : list.value.length - placeOf(list.value, seen.value + 1e-9),
  );

  function onScroll() {
    const it = box.value;
    // A late event of a removed list.
    if (!it) return;
    // Only scrolling up stops following: new rows move the end away too.
    const up = it.scrollTop < top.value - 1;
    top.value = it.scrollTop;
    if (it.scrollTop === held) return;
    held = -1;
    const atEnd = it.scrollHeight - it.scrollTop - it.clientHeight < height * 1.5;
    if (atEnd) following.value = true;
    else if (up && following.value) {
      following.value = false;
      seen.value = lastKey();
    }
  }
  function scrollTo(position: number) {
    if (!box.value) return;
    box.value.scrollTop = position;
    top.value = box.value.scrollTop;
  }
  function keepEnd() {
    onScroll();
    if (following.value) scrollTo(list.value.length * height);
  }
  function toEnd() {
    held = -1;
    following.value = true;
    nextTick(() => scrollTo(list.value.length * height));
  }
  function show(place: number) {
    if (following.value) seen.value = lastKey();
    following.value = false;
    nextTick(() => {
      scrollTo(Math.max(0, place * height - view.value / 2));
      held = top.value;
    });
  }

  watch(list, (now, before) => {
    // The reader may have just scrolled up, before the event arrived: the row that is at the top now is the one that stays.
    onScroll();
    if (following.value) return nextTick(keepEnd);
    // The row at the top stays there, whatever was added or removed above it.
    const anchor = before[Math.floor(top.value / height)];
    const within = top.value % height;
    if (!anchor) return undefined;
    return nextTick(() => {
      const wanted = placeOf(now, anchor.key) * height + within;
      if (Math.abs(wanted - top.value) < 1) return;
      const isHeld = held === top.value;
      scrollTo(wanted);
      if (isHeld) held = top.value;
    });
  });

  let observer: ResizeObserver | undefined;
  onMounted(() => {
    observer = new ResizeObserver(() => {
      view.value = box.value?.clientHeight ?? view.value;
      if (following.value) keepEnd();
    });
    if (box.value) observer.observe(box.value);
    toEnd();
  });
  onUnmounted(() => observer?.disconnect());

  return { box, end, following, fresh, onScroll, show, start, toEnd, window };
}

// An agent's activity in the last minutes: a bar for each few seconds, the newest on the right.
import { computed, shallowRef, watch } from "vue";
import { useClock } from "./in_sight.js";

// As the scheduler counts.
const SECONDS = 5;
const BARS = 36;
const WIDTH = 3;
const HEIGHT = 16;

export const Sparkline = {
  // counts: events of each time span, up to the span that contains the time `last`.
  props: ["counts", "last", "live"],
  template: /* HTML */ ` <svg
    v-if="path"
    class="spark"
    :class="{ 'is-live': live }"
    :viewBox="'0 0 ' + width + ' ' + HEIGHT"
    :width="width"
    :height="HEIGHT"
    role="img"
    :aria-label="label"
  >
    <title>{{ label }}</title>
    <path :d="path" />
  </svg>`,
  setup(props) {
    const now = useClock();
    const spanOf = (time) => Math.floor(time / 1000 / SECONDS);
    function counted() {
      const last = spanOf(props.last);
      // A live one moves with the clock, an ended one does not.
      const end = props.live ? Math.max(last, spanOf(now.value)) : last;
      return Array.from(
        { length: BARS },
        (_, place) => props.counts[props.counts.length - 1 - (last - (end - BARS + 1 + place))] ?? 0,
      );
    }
    // Drawn once per tick of the clock: summaries come many times a second.
    const shown = shallowRef(counted());
    watch(now, () => (shown.value = counted()));
    watch(
      () => props.live,
      () => (shown.value = counted()),
    );
    const hasSome = computed(() => props.counts.length > 0);
    const path = computed(() => {
      if (!hasSome.value) return "";
      const most = Math.max(4, ...shown.value);
      return shown.value
        .map((count, place) => {
          // The square root keeps quiet minutes visible next to busy ones.
          const height = count ? Math.max(2, Math.sqrt(count / most) * HEIGHT) : 1;
          return `M${place * WIDTH} ${HEIGHT}v-${height.toFixed(1)}h${WIDTH - 1}v${height.toFixed(1)}z`;
        })
        .join("");
    });
    const label = computed(() => {
      const minute = shown.value.slice(-60 / SECONDS).reduce((all, count) => all + count, 0);
      return `Activity of the last ${(BARS * SECONDS) / 60} minutes; ${minute} events in the last one`;
    });
    return { HEIGHT, label, path, width: BARS * WIDTH };
  },
};

// A slider over the time of a session or run, which can play it.
import { computed, onUnmounted, ref, watch } from "vue";
import { absolute, clockTime, duration } from "./format.js";
import { Icon } from "./icons.js";

const SPEEDS = [1, 5, 20, 100, 500];
// How long a replay of everything takes, about.
const WHOLE = 60_000;
const FRAME = 100;

// `marks` are {time, tone, word}; `live`: whether there is a present to go back to.
export const ReplayBar = {
  props: ["moment", "from", "to", "marks", "live"],
  emits: ["moment", "end"],
  components: { Icon },
  template: /* HTML */ ` <div class="replay" role="group" aria-label="Replay">
    <button
      type="button"
      class="icon-button"
      :disabled="!before"
      aria-label="Previous event"
      :title="before ? 'Previous: ' + before.word : 'Previous event'"
      @click="$emit('moment', before.time)"
    >
      <Icon name="left" />
    </button>
    <button
      type="button"
      class="icon-button"
      :aria-label="playing ? 'Pause' : 'Play'"
      :title="playing ? 'Pause' : 'Play'"
      @click="toggle"
    >
      <Icon :name="playing ? 'pause' : 'play'" />
    </button>
    <button
      type="button"
      class="icon-button"
      :disabled="!behind"
      aria-label="Next event"
      :title="behind ? 'Next: ' + behind.word : 'Next event'"
      @click="$emit('moment', behind.time)"
    >
      <Icon name="right" />
    </button>
    <select v-model.number="speed" aria-label="Speed">
      <option v-for="each in SPEEDS" :key="each" :value="each">{{ each }}×</option>
    </select>
    <div class="replay-track">
      <i
        v-for="(mark, place) in marks"
        :key="place"
        class="replay-mark"
        :class="'tone-' + mark.tone"
        :style="{ left: percent(mark.time) }"
        :title="mark.word"
        aria-hidden="true"
      ></i>
      <input
        type="range"
        :min="from"
        :max="to"
        step="any"
        :value="moment"
        aria-label="Time"
        :aria-valuetext="absolute(moment)"
        @input="$emit('moment', Number($event.target.value))"
        @keydown="onKey"
      />
    </div>
    <span class="num replay-time" :title="absolute(moment)"
      ><b>{{ clockTime(moment) }}</b>{{ " " }}
      <span class="quiet">{{ duration(moment - from) }} of {{ duration(to - from) }}</span></span
    >
    <button type="button" class="button small" @click="$emit('end')">
      {{ live ? "Back to now" : "End replay" }}
    </button>
  </div>`,
  setup(props, { emit }) {
    const playing = ref(false);
    const speed = ref(SPEEDS.findLast((each) => (props.to - props.from) / each > WHOLE / 5) ?? 1);
    let timer = null;
    function stop() {
      clearInterval(timer);
      playing.value = false;
    }
    function toggle() {
      if (playing.value) return stop();
      if (props.moment >= props.to) emit("moment", props.from);
      playing.value = true;
      let last = performance.now();
      timer = setInterval(() => {
        const time = performance.now();
        const next = Math.min(props.to, props.moment + (time - last) * speed.value);
        last = time;
        emit("moment", next);
        if (next >= props.to) stop();
      }, FRAME);
      return undefined;
    }
    const step = computed(() => Math.max(1000, (props.to - props.from) / 100));
    function onKey(event) {
      const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[
        event.key
      ];
      event.stopPropagation();
      if (event.key === "Escape" || event.key === "Tab") return;
      if (!by && event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      const wanted = { Home: props.from, End: props.to }[event.key] ?? props.moment + by * step.value;
      emit("moment", clamp(wanted));
    }
    const clamp = (time) => Math.min(props.to, Math.max(props.from, time));
    // Another session may be at another time.
    watch(
      () => [props.from, props.to],
      () => props.from && clamp(props.moment) !== props.moment && emit("moment", clamp(props.moment)),
      { immediate: true },
    );
    onUnmounted(stop);
    const percent = (time) =>
      `${Math.min(100, Math.max(0, (100 * (time - props.from)) / Math.max(1, props.to - props.from)))}%`;
    return {
      absolute,
      clockTime,
      duration,
      onKey,
      percent,
      playing,
      speed,
      SPEEDS,
      toggle,
      before: computed(() => props.marks.findLast((mark) => mark.time < props.moment - 1)),
      behind: computed(() => props.marks.find((mark) => mark.time > props.moment + 1)),
    };
  },
};

// Two screenshots, one over the other with a slider, or side by side.
import { onMounted, ref } from "vue";
import { absolute, clockTime } from "./format.js";
import { Icon } from "./icons.js";

// `shots` are two: {url, caption, time, place}.
export const ShotCompare = {
  props: ["shots"],
  emits: ["close"],
  components: { Icon },
  template: /* HTML */ ` <dialog
    ref="dialog"
    class="lightbox compare"
    aria-label="Compare two screenshots"
    @click.stop="onClick"
    @keydown.stop
    @cancel.stop
    @close.stop="$emit('close')"
  >
    <div v-if="sideBySide" class="compare-columns">
      <figure v-for="(shot, place) in shots" :key="place"><img :src="shot.url" :alt="shot.caption" /></figure>
    </div>
    <div
      v-else
      class="compare-stage"
      :style="{ '--cut': cut + '%' }"
      @pointerdown="drag"
      @pointermove="$event.buttons && drag($event)"
    >
      <img :src="shots[0].url" :alt="shots[0].caption" draggable="false" /><img
        class="compare-over"
        :src="shots[1].url"
        :alt="shots[1].caption"
        draggable="false"
      /><i class="compare-line" aria-hidden="true"></i>
    </div>
    <div class="lightbox-bar">
      <span :title="absolute(shots[0].time)"
        ><b>A</b> {{ shots[0].caption }}
        <span class="num quiet">{{ shots[0].place }} {{ clockTime(shots[0].time) }}</span></span
      >
      <input
        v-if="!sideBySide"
        v-model.number="cut"
        type="range"
        min="0"
        max="100"
        aria-label="Share of the first screenshot"
      />
      <span :title="absolute(shots[1].time)"
        ><b>B</b> {{ shots[1].caption }}
        <span class="num quiet">{{ shots[1].place }} {{ clockTime(shots[1].time) }}</span></span
      >
      <button
        type="button"
        class="icon-button"
        :aria-pressed="sideBySide"
        aria-label="Side by side"
        title="Side by side"
        @click="sideBySide = !sideBySide"
      >
        <Icon name="columns" />
      </button>
      <button type="button" class="icon-button" aria-label="Close the comparison" @click="dialog.close()">
        <Icon name="cross" />
      </button>
    </div>
  </dialog>`,
  setup() {
    const dialog = ref(null);
    const sideBySide = ref(false);
    const cut = ref(50);
    function drag(event) {
      const { left, width } = event.currentTarget.getBoundingClientRect();
      cut.value = Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
    }
    onMounted(() => dialog.value.showModal());
    return {
      absolute,
      sideBySide,
      clockTime,
      cut,
      dialog,
      drag,
      onClick: (event) => event.target === dialog.value && dialog.value.close(),
    };
  },
};

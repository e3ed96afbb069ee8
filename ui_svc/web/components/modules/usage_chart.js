// Tokens or money over time: stacked areas, and the values under the pointer.
import { computed, ref } from "vue";
import { clockTime, count, money } from "./format.js";
import { growth, KINDS } from "./spending.js";

const WIDTH = 1000;
const HEIGHT = 160;

export const UsageChart = {
  props: ["reports", "of", "limit", "from", "to"],
  template: /* HTML */ ` <figure class="usage-chart" :class="'is-' + of">
    <div class="usage-plot" @pointermove="look" @pointerleave="at = null">
      <svg :viewBox="'0 0 ${WIDTH} ${HEIGHT}'" preserveAspectRatio="none" role="img" :aria-label="label">
        <path v-for="area in areas" :key="area.key" :class="'area-' + area.key" :d="area.path" />
        <line v-if="limitY !== null" class="usage-limit" x1="0" :x2="${WIDTH}" :y1="limitY" :y2="limitY" />
      </svg>
      <i v-if="shown" class="usage-cursor" :style="{ left: shown.left + '%' }"></i>
      <span class="usage-top num">{{ said(top) }}</span>
    </div>
    <figcaption class="num">
      <span>{{ clockTime(from) }}</span
      ><span class="usage-said"
        ><b v-if="shown">{{ clockTime(shown.time) }}</b
        ><span v-for="(part, place) in parts" :key="part.key"
          ><i v-if="part.word" :class="'swatch-' + part.key"></i>{{ part.word }} {{ amount((shown ??
          last)[place]) }}</span
        ></span
      ><span>{{ clockTime(to) }}</span>
    </figcaption>
  </figure>`,
  setup(props) {
    const at = ref(null);
    const parts = computed(() => (props.of === "money" ? [{ key: "money", word: "" }] : KINDS));
    const values = (each) => (props.of === "money" ? [each.cost ?? 0] : KINDS.map(({ key }) => each[key]));
    const points = computed(() => growth(props.reports, values));
    const total = (list) => list.reduce((all, each) => all + each, 0);
    const top = computed(
      () => Math.max(total(points.value[points.value.length - 1]?.values ?? [0]), props.limit ?? 0) || 1,
    );
    const x = (time) =>
      props.to > props.from ? Math.min(1, (time - props.from) / (props.to - props.from)) * WIDTH : 0;
    const y = (value) => HEIGHT - (value / top.value) * (HEIGHT - 12);
    // Each step goes right first, then up: there was no usage in between.
    const edge = (height) =>
      points.value
        .map(
          (point, place) =>
            `${place ? "" : `M0 ${HEIGHT}`}H${x(point.time).toFixed(1)}V${y(height(point)).toFixed(1)}`,
        )
        .join("");
    const areas = computed(() =>
      parts.value
        .map((part, place) => ({
          ...part,
          path: `${edge((point) => total(point.values.slice(0, place + 1)))}H${WIDTH}V${HEIGHT}Z`,
        }))
        .reverse(),
    );
    const amount = (value) => (props.of === "money" ? money({ cost: value }) : count(value));
    const said = (value) => (props.of === "money" ? money({ cost: value }) : `${count(value)} tokens`);
    const shown = computed(() => {
      if (at.value === null || !points.value.length) return null;
      const time = props.from + at.value * (props.to - props.from);
      const point = points.value.findLast((each) => each.time <= time) ?? {
        values: parts.value.map(() => 0),
      };
      return Object.assign([...point.values], { left: at.value * 100, time });
    });
    function look(event) {
      const { left, width } = event.currentTarget.getBoundingClientRect();
      at.value = Math.min(1, Math.max(0, (event.clientX - left) / width));
    }
    const last = computed(() => points.value[points.value.length - 1]?.values ?? parts.value.map(() => 0));
    const label = computed(() => {
      const sums = parts.value.map(({ word }, place) => `${word} ${amount(last.value[place])}`.trim());
      return `${props.of === "money" ? "Cost" : "Tokens"} over time: ${sums.join(", ")}`;
    });
    return {
      amount,
      areas,
      at,
      clockTime,
      label,
      last,
      limitY: computed(() => (props.limit ? y(props.limit) : null)),
      look,
      parts,
      said,
      shown,
      top,
    };
  },
};

// The rest of a run's budget, as a bar and in words.
import { computed } from "vue";
import { costOf, dollars } from "./format.js";

export const Budget = {
  props: ["run"],
  template: /* HTML */ ` <span class="num budget" :title="title"
    ><b>{{ spent }}</b
    ><template v-if="run.budget">
      of {{ dollars(run.budget) }}<i class="budget-bar" aria-hidden="true"
        ><i
          :class="{ 'is-low': share > 0.8, 'is-out': share >= 1 }"
          :style="{ width: Math.min(100, share * 100) + '%' }"
        ></i></i
      ><span :class="{ 'tone-bad-text': share >= 1 }">{{ left }}</span></template
    ></span
  >`,
  setup(props) {
    const share = computed(() => (props.run.budget ? props.run.usage.cost / props.run.budget : 0));
    return {
      dollars,
      share,
      spent: computed(() => costOf(props.run.usage) || "$0.00"),
      left: computed(() => {
        const rest = props.run.budget - props.run.usage.cost;
        return rest > 0 ? `${props.run.usage.cost_incomplete ? "≤ " : ""}${dollars(rest)} left` : "used up";
      }),
      title: computed(() => {
        const { cost_incomplete: incomplete, cost_estimated: estimated } = props.run.usage;
        const words = ["What the run has cost so far, failed attempts included."];
        if (estimated) words.push(`${dollars(estimated)} of it is estimated from a table of prices (~).`);
        if (incomplete) words.push("Some prices are unknown, so the cost may be higher (≥).");
        if (!props.run.budget) words.push("No budget.");
        return words.join(" ");
      }),
    };
  },
};

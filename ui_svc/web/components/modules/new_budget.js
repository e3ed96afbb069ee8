// Raises the budget that paused a run, and resumes it.
import { computed, nextTick, ref } from "vue";
import { post } from "./api.js";
import { dollars } from "./format.js";
import { Icon } from "./icons.js";
import { toast } from "./toasts.js";

export const NewBudget = {
  // item: an item of the attention list. focus: whether the field takes the focus.
  props: { item: Object, focus: Boolean },
  components: { Icon },
  template: /* HTML */ ` <form
    class="budget-form"
    @submit.prevent="give"
    @keydown.esc.stop.prevent="$emit('close')"
  >
    <label class="visually-hidden" :for="id">New budget in US dollars</label><span>$</span
    ><input
      :id="id"
      ref="input"
      v-model.number="amount"
      class="approval-message num"
      type="number"
      min="0.01"
      step="any"
      required
    />
    <button type="submit" class="button small primary" :disabled="asked">
      <Icon name="play" />{{ asked ? "Resuming…" : word }}
    </button>
  </form>`,
  emits: ["close"],
  setup(props) {
    // The default: what was spent plus the same budget again.
    const amount = ref(Number(((props.item.spent + props.item.budget) / 1e6).toFixed(2)) || 1);
    const asked = ref(false);
    const input = ref(null);
    if (props.focus) nextTick(() => input.value?.select());
    const word = computed(() =>
      amount.value > 0 ? `Raise to ${dollars(amount.value * 1e6)} and resume` : "Raise and resume",
    );
    async function give() {
      asked.value = true;
      const of = props.item.of === props.item.run ? "" : props.item.of;
      try {
        await post(`${props.item.run}:resume`, { budget: Math.round(amount.value * 1e6), budget_of: of });
        toast(`${props.item.title} resumes with a budget of ${dollars(amount.value * 1e6)}`);
      } catch (problem) {
        asked.value = false;
        toast(`${props.item.title} is still paused. ${problem.message}`, "bad");
      }
    }
    return {
      amount,
      asked,
      give,
      id: `budget-${props.focus ? "list" : "head"}-${props.item.key}`,
      input,
      word,
    };
  },
};

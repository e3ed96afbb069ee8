// The maximum of parallel agents, changed while the run is active.
import { computed, onUnmounted, ref, watch } from "vue";
import { post } from "./api.js";
import { offer } from "./commands.js";
import { plural } from "./format.js";
import { Icon } from "./icons.js";
import { toast } from "./toasts.js";

// Several clicks in a row are one change.
const PAUSE = 400;

export const Parallel = {
  props: ["run"],
  components: { Icon },
  template: /* HTML */ ` <div
    class="stepper"
    role="group"
    aria-label="Max parallel agents"
    :class="{ 'is-pending': wanted !== null }"
    :title="title"
  >
    <button
      type="button"
      class="icon-button"
      aria-label="Decrease max parallel agents"
      :disabled="shown <= 1"
      @click="step(-1)"
    >
      <Icon name="minus" />
    </button>
    <span class="num" role="status"><b>{{ shown }}</b> parallel</span>
    <button type="button" class="icon-button" aria-label="Increase max parallel agents" @click="step(1)">
      <Icon name="plus" />
    </button>
  </div>`,
  setup(props) {
    // The requested number, until it takes effect.
    const wanted = ref(null);
    const shown = computed(() => wanted.value ?? props.run.max_parallel);
    let due = null;
    function step(by) {
      wanted.value = Math.max(1, shown.value + by);
      clearTimeout(due);
      due = setTimeout(send, PAUSE);
    }
    async function send() {
      const asked = wanted.value;
      if (asked === props.run.max_parallel) return void (wanted.value = null);
      try {
        await post(`${props.run.name}:set`, { max_parallel: asked });
      } catch (problem) {
        wanted.value = null;
        toast(`The limit is still ${props.run.max_parallel}. ${problem.message}`, "bad");
      }
    }
    watch(
      () => props.run.max_parallel,
      (now) => now === wanted.value && (wanted.value = null),
    );
    onUnmounted(() => clearTimeout(due));
    offer(() => [
      { word: "Increase max parallel agents", hint: props.run.title, icon: "plus", run: () => step(1) },
      ...(shown.value > 1
        ? [
            {
              word: "Decrease max parallel agents",
              hint: props.run.title,
              icon: "minus",
              run: () => step(-1),
            },
          ]
        : []),
    ]);
    const title = computed(() =>
      wanted.value === null
        ? `At most ${plural(shown.value, "agent")} in parallel. If you lower it, running agents finish their tasks.`
        : "Requested",
    );
    return { shown, step, title, wanted };
  },
};

// How many agents a run may have at once, changed while it goes on.
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
    aria-label="Agents at once"
    :class="{ 'is-pending': wanted !== null }"
    :title="title"
  >
    <button
      type="button"
      class="icon-button"
      aria-label="One agent fewer at once"
      :disabled="shown <= 1"
      @click="step(-1)"
    >
      <Icon name="minus" />
    </button>
    <span class="num" role="status"><b>{{ shown }}</b> at once</span>
    <button type="button" class="icon-button" aria-label="One agent more at once" @click="step(1)">
      <Icon name="plus" />
    </button>
  </div>`,
  setup(props) {
    // What was asked for and is not true yet.
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
      { word: "One agent more at once", hint: props.run.title, icon: "plus", run: () => step(1) },
      ...(shown.value > 1
        ? [{ word: "One agent fewer at once", hint: props.run.title, icon: "minus", run: () => step(-1) }]
        : []),
    ]);
    const title = computed(() =>
      wanted.value === null
        ? `At most ${plural(shown.value, "agent")} at once. With fewer than now, those that run go on to their end.`
        : "Asked for; not true yet",
    );
    return { shown, step, title, wanted };
  },
};

// Small parts that many views share.
import { computed, h, nextTick, ref } from "vue";
import { absolute, ago, duration } from "./format.js";
import { Icon } from "./icons.js";
import { useClock } from "./in_sight.js";
import { toast } from "./toasts.js";

export const Status = ({ of }) =>
  h("span", { class: ["status", `tone-${of.tone}`] }, [h(Icon, { name: of.icon }), h("span", of.word)]);
Status.props = ["of"];

// Time since `from`, counting up until `to` is known.
export const Elapsed = {
  props: ["from", "to", "label"],
  template: /* HTML */ `<span v-if="from" class="num" :title="title">{{ text }}</span>`,
  setup(props) {
    const clock = useClock();
    return {
      text: computed(() => duration((props.to ?? clock.value) - props.from)),
      title: computed(() => `${props.label ?? "Since"} ${absolute(props.from)}`),
    };
  },
};

export const Ago = {
  props: ["time"],
  template: /* HTML */ `<time v-if="time" :title="absolute(time)">{{ text }}</time>`,
  setup(props) {
    const clock = useClock();
    return { absolute, text: computed(() => ago(props.time, clock.value)) };
  },
};

// One piece per state, as wide as its share of the tasks.
export const TaskProgress = {
  props: ["tasks"],
  template: /* HTML */ ` <div class="progress" role="img" :aria-label="label">
    <i
      v-for="part in parts"
      :key="part.key"
      :class="'tone-' + part.tone"
      :style="{ flexGrow: part.count }"
    ></i>
  </div>`,
  setup(props) {
    const kinds = [
      { key: "accepted", word: "done", tone: "ok" },
      { key: "failed", word: "failed", tone: "bad" },
      { key: "waiting", word: "waiting", tone: "wait" },
      { key: "running", word: "running", tone: "run" },
      { key: "skipped", word: "skipped", tone: "skip" },
      { key: "pending", word: "pending", tone: "quiet" },
    ];
    const parts = computed(() =>
      kinds.map((kind) => ({ ...kind, count: props.tasks?.[kind.key] ?? 0 })).filter((part) => part.count),
    );
    const label = computed(
      () => parts.value.map((part) => `${part.count} ${part.word}`).join(", ") || "no tasks",
    );
    return { parts, label };
  },
};

// A button that asks for confirmation in its place. `act` may return a promise.
export const Ask = {
  props: ["label", "icon", "question", "yes", "pending", "pendingLabel", "act", "quiet"],
  components: { Icon },
  template: /* HTML */ ` <span class="ask" @click.stop @keydown.stop>
    <span v-if="pending" class="button small is-pending" role="status"
      ><Icon name="spinner" />{{ pendingLabel }}</span
    >
    <template v-else-if="asking">
      <span class="ask-question">{{ question }}</span>
      <button ref="first" type="button" class="button small danger" @click="confirm" @keydown.esc="cancel">
        {{ yes }}
      </button>
      <button type="button" class="button small" @click="cancel" @keydown.esc="cancel">Keep</button>
    </template>
    <button v-else ref="opener" type="button" class="button small" :class="{ ghost: quiet }" @click="open">
      <Icon v-if="icon" :name="icon" />{{ label }}
    </button>
  </span>`,
  setup(props) {
    const asking = ref(false);
    const first = ref(null);
    const opener = ref(null);
    async function open() {
      asking.value = true;
      await nextTick();
      first.value?.focus();
    }
    async function cancel() {
      asking.value = false;
      await nextTick();
      opener.value?.focus();
    }
    async function confirm() {
      asking.value = false;
      try {
        await props.act();
      } catch (problem) {
        toast(problem.message, "bad");
      }
    }
    return { asking, first, opener, open, cancel, confirm };
  },
};

// An empty state: what is missing, and what to do about it.
export const Empty = {
  props: ["icon", "title"],
  components: { Icon },
  template: /* HTML */ `<div class="empty">
    <Icon :name="icon" />
    <p class="empty-title">{{ title }}</p>
    <div class="empty-text"><slot /></div>
  </div>`,
};

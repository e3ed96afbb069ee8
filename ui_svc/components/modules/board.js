// A lane for each epic, those first that need somebody.
import { computed, onMounted, onUnmounted, ref, watch } from "vue";
import { Icon } from "./icons.js";
import { Lane } from "./lane.js";
import { GROUPS } from "./status.js";

const Filters = {
  props: ["lanes", "modelValue"],
  emits: ["update:modelValue"],
  components: { Icon },
  template: `
    <div class="filters" role="group" aria-label="Show">
      <button v-for="group in groups" :key="group.key" type="button" class="chip" :class="'tone-' + group.tone" :aria-pressed="modelValue === group.key" @click="$emit('update:modelValue', modelValue === group.key ? '' : group.key)">
        <Icon :name="group.icon" /><span>{{ group.word }}</span><b class="num">{{ group.count }}</b>
      </button>
    </div>`,
  setup: (props) => ({
    groups: computed(() =>
      GROUPS.map((group) => ({ ...group, count: props.lanes.filter((lane) => lane.group === group.key).length })).filter(
        (group) => group.count,
      ),
    ),
  }),
};

export const Board = {
  props: ["store", "covered"],
  emits: ["open"],
  components: { Filters, Lane },
  template: `
    <Filters :lanes="lanes" v-model="only" />
    <div class="lanes" @keydown="step">
      <Lane v-for="lane in visible" :key="lane.name" :store="store" :name="lane.name" :group="lane.group" @open="$emit('open', $event)" />
    </div>`,
  setup(props) {
    const only = ref("");
    const lanes = computed(() => props.store.lanes.value);
    const visible = computed(() => lanes.value.filter((lane) => !only.value || lane.group === only.value));
    watch(lanes, () => {
      if (!visible.value.length) only.value = "";
    });

    function step(event) {
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (!move || !event.target.matches(".card-link")) return;
      const links = [...document.querySelectorAll(".card-link")];
      links[links.indexOf(event.target) + move]?.focus();
      event.preventDefault();
    }
    const onKey = (event) => {
      if (props.covered || event.defaultPrevented || event.target.closest?.("input, textarea, select, .card-link")) return;
      if (event.key === "j" || event.key === "k") document.querySelector(".card-link")?.focus();
    };
    onMounted(() => addEventListener("keydown", onKey));
    onUnmounted(() => removeEventListener("keydown", onKey));
    return { lanes, only, step, visible };
  },
};

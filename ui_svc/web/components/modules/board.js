// A lane for each epic; those that need the operator come first.
import { computed, onMounted, onUnmounted, reactive, watch } from "vue";
import { BoardTools, readChoice } from "./board_tools.js";
import { elements } from "./elements.js";
import { Icon } from "./icons.js";
import { provideCover } from "./in_sight.js";
import { LaneRow } from "./lane_row.js";
import { Lane } from "./lane.js";
import { Empty } from "./parts.js";
import { useSlices } from "./slices.js";
import { GROUPS } from "./status.js";

// Epics that have ended or not started take one row each, to leave room for running ones.
const CALM = new Set(["queued", "done"]);

export const Board = {
  props: ["store", "covered"],
  emits: ["open"],
  components: { BoardTools, Empty, Icon, Lane, LaneRow },
  template: /* HTML */ ` <BoardTools :lanes="lanes" :choice="choice" />
    <div class="board" :class="'is-' + choice.density" @keydown="step">
      <section
        v-for="group in groups"
        :key="group.key"
        class="board-group"
        :class="['tone-' + group.tone, { 'is-slim': group.slim }]"
        :style="{ '--lanes': group.lanes.length }"
        :aria-label="group.word"
      >
        <h2 class="group-head">
          <Icon :name="group.icon" /><span>{{ group.word }}</span><b class="num">{{ group.lanes.length }}</b>
        </h2>
        <div class="lanes" :class="{ 'is-slim': group.slim }">
          <component
            :is="group.slim ? 'LaneRow' : 'Lane'"
            v-for="lane in group.drawn"
            :key="lane.name"
            :store="store"
            :name="lane.name"
            :group="lane.group"
            @open="$emit('open', $event)"
          />
        </div>
      </section>
      <Empty v-if="!groups.length" icon="search" title="No matching epics"
        ><p><button type="button" class="button" @click="clear">Show all epics</button></p></Empty
      >
    </div>`,
  setup(props) {
    // A board below a session is not visible: it is drawn again once the session is closed.
    provideCover(() => props.covered);
    const choice = reactive(readChoice());
    const lanes = computed(() => props.store.lanes.value);
    const wanted = computed(() => {
      const words = choice.q.toLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length) return lanes.value;
      return lanes.value.filter((lane) => {
        const epic = props.store.epics.get(lane.name);
        const text = [
          epic.title,
          epic.key,
          ...props.store.tasksOf(lane.name).map((task) => `${task.title} ${task.agent}`),
        ]
          .join(" ")
          .toLowerCase();
        return words.every((word) => text.includes(word));
      });
    });
    const drawn = useSlices(() => lanes.value.length);
    const groups = computed(() => {
      let left = drawn.value;
      return GROUPS.filter((group) => !choice.only || group.key === choice.only)
        .map((group) => ({
          ...group,
          lanes: wanted.value.filter((lane) => lane.group === group.key),
          slim: choice.density === "compact" || CALM.has(group.key),
        }))
        .filter((group) => group.lanes.length)
        .map((group) => {
          const part = group.lanes.slice(0, left);
          left -= part.length;
          return { ...group, drawn: part };
        });
    });
    const clear = () => Object.assign(choice, { only: "", q: "" });
    // The last epic of the chosen group has moved to another one.
    watch(lanes, () => {
      if (choice.only && !lanes.value.some((lane) => lane.group === choice.only)) choice.only = "";
    });

    function step(event) {
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (!move || !event.target.matches(".card-link")) return;
      const links = elements(".card-link");
      links[links.indexOf(event.target) + move]?.focus();
      event.preventDefault();
    }
    const onKey = (event) => {
      if (props.covered || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, dialog, .card-link")) return;
      if (event.key === "j" || event.key === "k") elements(".card-link")[0]?.focus();
    };
    onMounted(() => addEventListener("keydown", onKey));
    onUnmounted(() => removeEventListener("keydown", onKey));
    return { choice, clear, groups, lanes, step };
  },
};

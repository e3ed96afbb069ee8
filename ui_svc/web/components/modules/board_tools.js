// Controls of the board: groups, search, density.
import { computed, onMounted, onUnmounted, ref, watch } from "vue";
import { offer } from "./commands.js";
import { Icon } from "./icons.js";
import { GROUPS } from "./status.js";

const KEPT = "heddle-density";

// The address holds the search and the group; the browser's storage holds the density.
export function readChoice() {
  const query = new URLSearchParams(location.search);
  return {
    only: GROUPS.some((group) => group.key === query.get("show")) ? query.get("show") : "",
    q: query.get("q") ?? "",
    density: localStorage.getItem(KEPT) === "compact" ? "compact" : "comfortable",
  };
}

function writeChoice({ only, q }) {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries({ show: only, q }))
    value ? query.set(key, value) : query.delete(key);
  history.replaceState(history.state, "", location.pathname + (query.size ? `?${query}` : ""));
}

export const BoardTools = {
  props: ["lanes", "choice"],
  components: { Icon },
  template: /* HTML */ ` <div class="board-tools">
    <div class="filters" role="group" aria-label="Show">
      <button
        v-for="group in groups"
        :key="group.key"
        type="button"
        class="chip"
        :class="'tone-' + group.tone"
        :aria-pressed="choice.only === group.key"
        @click="choice.only = choice.only === group.key ? '' : group.key"
      >
        <Icon :name="group.icon" /><span>{{ group.word }}</span><b class="num">{{ group.count }}</b>
      </button>
    </div>
    <span class="grow"></span>
    <div class="search">
      <Icon name="search" /><input
        ref="input"
        v-model="choice.q"
        type="search"
        placeholder="Find an epic or task"
        aria-label="Find an epic or task"
        @keydown.esc="onEsc"
      />
    </div>
    <div class="segments" role="group" aria-label="Density">
      <button
        v-for="each in DENSITIES"
        :key="each.key"
        type="button"
        class="segment"
        :aria-pressed="choice.density === each.key"
        :title="each.word"
        @click="choice.density = each.key"
      >
        <Icon :name="each.icon" /><span class="visually-hidden">{{ each.word }}</span>
      </button>
    </div>
  </div>`,
  setup(props) {
    const input = ref(null);
    const groups = computed(() =>
      GROUPS.map((group) => ({
        ...group,
        count: props.lanes.filter((lane) => lane.group === group.key).length,
      })).filter((group) => group.count),
    );
    watch(
      () => props.choice.density,
      (density) => localStorage.setItem(KEPT, density),
    );
    watch(
      () => [props.choice.only, props.choice.q],
      () => writeChoice(props.choice),
    );
    function onEsc(event) {
      if (props.choice.q) event.preventDefault();
      props.choice.q = "";
    }
    const turn = () =>
      (props.choice.density = props.choice.density === "compact" ? "comfortable" : "compact");
    const onKey = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, dialog") || document.querySelector("dialog[open]"))
        return;
      if (event.key === "/") input.value?.focus();
      else if (event.key === "c") turn();
      else return;
      event.preventDefault();
    };
    onMounted(() => addEventListener("keydown", onKey));
    onUnmounted(() => removeEventListener("keydown", onKey));
    offer(() => [
      {
        word: props.choice.density === "compact" ? "Comfortable cards" : "Compact rows",
        hint: "Density of the board",
        icon: "rows",
        run: turn,
      },
    ]);
    return { DENSITIES, groups, input, onEsc };
  },
};

const DENSITIES = [
  { key: "comfortable", word: "Comfortable cards", icon: "cards" },
  { key: "compact", word: "Compact rows (c)", icon: "rows" },
];

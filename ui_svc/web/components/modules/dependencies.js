// Which epics an epic waits for, and which wait for it: each leads to its lane.
import { computed } from "vue";
import { elements } from "./elements.js";
import { Icon } from "./icons.js";
import { stateOf } from "./lane_facts.js";

export const Needs = {
  props: ["store", "epic"],
  components: { Icon },
  template: /* HTML */ ` <div v-if="needs.length || unblocks.length" class="needs">
    <template v-if="needs.length"
      ><span>After</span
      ><a
        v-for="each in needs"
        :key="each.key"
        class="need"
        :class="'tone-' + each.state.tone"
        :href="'#epic-' + each.key"
        :title="each.title + ': ' + each.state.word"
        @click.prevent="show(each.key)"
        ><Icon :name="each.state.icon" />{{ each.title }}<span class="visually-hidden"
          >, {{ each.state.word }}</span
        ></a
      ></template
    >
    <template v-if="unblocks.length"
      ><span>Before</span
      ><a
        v-for="each in unblocks"
        :key="each.key"
        class="need"
        :href="'#epic-' + each.key"
        @click.prevent="show(each.key)"
        >{{ each.title }}</a
      ></template
    >
  </div>`,
  setup(props) {
    const dependents = dependentsOf(props.store);
    const seen = (key) => {
      const epic = props.store.epics.get(`${props.store.name}/epics/${key}`);
      return { key, title: epic.title || key, state: stateOf(props.store, epic) };
    };
    return {
      needs: computed(() => props.epic.depends_on.map(seen)),
      // Only while the epic is not over.
      unblocks: computed(() =>
        props.epic.merge_commit ? [] : (dependents.value.get(props.epic.key) ?? []).map(seen),
      ),
      show,
    };
  },
};

const graphs = new WeakMap();

// Returns which epics wait for each, by key. One for all lanes of a board, and it changes only
// when an edge does: a board may have a thousand lanes, of which some change all the time.
function dependentsOf(store) {
  if (!graphs.has(store)) {
    const edges = computed(() =>
      JSON.stringify(
        [...store.epics.values()].flatMap((epic) => epic.depends_on.map((key) => [key, epic.key])),
      ),
    );
    const byKey = computed(() => {
      const all = new Map();
      for (const [key, dependent] of JSON.parse(edges.value))
        all.set(key, [...(all.get(key) ?? []), dependent]);
      return all;
    });
    graphs.set(store, byKey);
  }
  return graphs.get(store);
}

// Scrolls to the lane of an epic and highlights it briefly.
export function show(key) {
  const lane = document.querySelector(`[data-epic="${CSS.escape(key)}"]`);
  if (!lane) return;
  lane.scrollIntoView({ block: "center" });
  lane.classList.add("is-shown");
  setTimeout(() => lane.classList.remove("is-shown"), 1600);
  elements("a, button", lane)[0]?.focus({ preventScroll: true });
}

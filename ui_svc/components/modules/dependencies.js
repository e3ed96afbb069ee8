// Which epics an epic waits for, and which wait for it: each leads to its lane.
import { computed } from "vue";
import { Icon } from "./icons.js";
import { stateOf } from "./lane_facts.js";

export const Needs = {
  props: ["store", "epic"],
  components: { Icon },
  template: `
    <div v-if="needs.length || unblocks.length" class="needs">
      <template v-if="needs.length"><span>After</span><a v-for="each in needs" :key="each.key" class="need" :class="'tone-' + each.state.tone" :href="'#epic-' + each.key" :title="each.title + ': ' + each.state.word" @click.prevent="show(each.key)"><Icon :name="each.state.icon" />{{ each.title }}<span class="visually-hidden">, {{ each.state.word }}</span></a></template>
      <template v-if="unblocks.length"><span>Before</span><a v-for="each in unblocks" :key="each.key" class="need" :href="'#epic-' + each.key" @click.prevent="show(each.key)">{{ each.title }}</a></template>
    </div>`,
  setup(props) {
    const all = () => [...props.store.epics.values()];
    const seen = (epic) => ({ key: epic.key, title: epic.title || epic.key, state: stateOf(props.store, epic) });
    return {
      needs: computed(() => all().filter((each) => props.epic.depends_on.includes(each.key)).map(seen)),
      // Only while it matters.
      unblocks: computed(() => (props.epic.merge_commit ? [] : all().filter((each) => each.depends_on.includes(props.epic.key)).map(seen))),
      show,
    };
  },
};

// Brings the lane of an epic into sight and marks it for a moment.
export function show(key) {
  const lane = document.querySelector(`[data-epic="${CSS.escape(key)}"]`);
  if (!lane) return;
  lane.scrollIntoView({ block: "center" });
  lane.classList.add("is-shown");
  setTimeout(() => lane.classList.remove("is-shown"), 1600);
  lane.querySelector("a, button")?.focus({ preventScroll: true });
}

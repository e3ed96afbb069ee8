// One epic: the card of its session, and its tasks as compact rows.
import { computed } from "vue";
import { Card } from "./card.js";
import { Needs } from "./dependencies.js";
import { duration } from "./format.js";
import { Icon } from "./icons.js";
import { useLane } from "./lane_facts.js";
import { Status } from "./parts.js";
import { href } from "./paths.js";
import { status, TASK } from "./status.js";

export const Lane = {
  props: ["store", "name", "group"],
  emits: ["open"],
  components: { Card, Icon, Needs, Status },
  template: /* HTML */ ` <section
    class="lane"
    :class="'group-' + group"
    :aria-label="epic.title"
    :data-epic="epic.key"
  >
    <header class="lane-head">
      <h3 :title="epic.branch">{{ epic.title }}</h3>
      <span class="lane-count num">{{ epic.tasks.accepted }}/{{ epic.tasks.total }}</span>
      <Status v-if="says" :of="state" />
    </header>
    <div class="lane-bar" aria-hidden="true">
      <i v-for="task in tasks" :key="task.name" :class="'tone-' + toneOf(task)"></i>
    </div>
    <Needs :store="store" :epic="epic" />
    <Card v-if="shown" :key="shown.name" :store="store" :task="shown" @open="$emit('open', $event)" />
    <p v-else class="lane-note"><Icon :name="state.icon" /><span>{{ note }}</span></p>
    <p v-if="epic.conflict_files.length" class="lane-note is-bad">
      <Icon name="merge" /><span
        >Conflicts in {{ epic.conflict_files.join(", ") }}. The branch <code>{{ epic.branch }}</code> is
        kept.</span
      >
    </p>
    <ol v-if="rows.length" class="rows">
      <li v-for="task in rows" :key="task.name" :class="'row-' + task.state">
        <component :is="task.attempt ? 'a' : 'span'" class="row" v-bind="rowLink(task)">
          <span class="row-icon" :class="'tone-' + toneOf(task)"
            ><Icon :name="status(TASK, task.state).icon"
          /></span>
          <span class="row-title">{{ task.title }}</span>
          <span class="row-fact num">{{ fact(task) }}</span>
          <span class="visually-hidden">{{ status(TASK, task.state).word }}</span>
        </component>
      </li>
    </ol>
  </section>`,
  setup(props, { emit }) {
    const lane = useLane(props);
    function fact(task) {
      if (task.attempt?.no_changes) return "no changes";
      if (task.state === "accepted") return duration(task.attempt.ended - task.attempt.started);
      return { failed: "failed", skipped: "skipped" }[task.state] ?? "";
    }
    function rowLink(task) {
      if (!task.attempt) return {};
      return {
        href: href(`/${task.attempt.name}`),
        onClick(event) {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          emit("open", task.attempt.name);
        },
      };
    }
    return {
      ...lane,
      fact,
      rowLink,
      rows: computed(() => lane.tasks.value.filter((task) => task !== lane.shown.value)),
      status,
      TASK,
    };
  },
};

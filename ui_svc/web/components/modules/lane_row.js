// One epic as one row: for epics that have ended or not started, and for boards of hundreds.
import { computed } from "vue";
import { useCard } from "./card.js";
import { Needs } from "./dependencies.js";
import { costOf, plural } from "./format.js";
import { Icon } from "./icons.js";
import { useLane } from "./lane_facts.js";
import { Ask, Elapsed, Status } from "./parts.js";
import { Sparkline } from "./sparkline.js";

const unchanged = ({ tasks }) =>
  tasks.unchanged ? `${plural(tasks.unchanged, "task")} changed nothing` : "";

// The row of an epic with an attempt.
const Tried = {
  props: ["store", "task", "lane"],
  emits: ["open"],
  components: { Ask, Elapsed, Icon, Sparkline, Status },
  template: /* HTML */ ` <div class="slim card" :class="'tone-' + tone" @click="onCard">
    <Status :of="said" />
    <span class="slim-title"
      ><a class="card-link" :href="href('/' + attempt.name)" @click="open" :data-attempt="attempt.name"
        >{{ lane.epic.value.title }}</a
      ><span class="quiet">{{ task.title }}</span></span
    >
    <span class="slim-now"
      ><span v-if="tool" class="card-tool" :title="tool.target"
        ><Icon :name="toolIcon" /><b>{{ tool.name }}</b><code>{{ tool.target }}</code></span
      ><span v-else-if="why" class="card-reason" :title="why">{{ why }}</span></span
    >
    <Sparkline
      v-if="summary && summary.activity"
      :counts="summary.activity"
      :last="summary.active"
      :live="live"
    /><span v-else></span>
    <span class="slim-fact num"
      ><Elapsed v-if="live" :from="since" label="In this state since" /><Elapsed
        v-else
        :from="lane.epic.value.started"
        :to="lane.epic.value.ended ?? attempt.ended"
        label="Started"
    /></span>
    <span class="slim-fact num">{{ cost }}</span>
    <span class="slim-fact num">{{ lane.epic.value.tasks.accepted }}/{{ lane.epic.value.tasks.total }}</span>
    <span class="slim-act"
      ><Ask
        v-if="live"
        class="card-stop"
        label="Stop"
        icon="stop"
        quiet="true"
        question="Stop?"
        yes="Stop"
        :pending="pending === 'stopping'"
        pending-label="Stopping…"
        :act="stop"
    /></span>
  </div>`,
  setup(props, { emit }) {
    const card = useCard(props, emit);
    const over = computed(() => !card.live.value);
    const said = computed(() => (over.value ? props.lane.state.value : card.state.value));
    return {
      ...card,
      // After its end, the times of the whole epic count.
      cost: computed(() => (over.value ? costOf(props.lane.epic.value.usage) : card.cost.value)),
      said,
      tone: computed(() => said.value.tone),
      why: computed(
        () =>
          card.waiting.value?.question ||
          card.reason.value ||
          (over.value ? props.lane.epic.value.reason || unchanged(props.lane.epic.value) : ""),
      ),
    };
  },
};

export const LaneRow = {
  props: ["store", "name", "group"],
  emits: ["open"],
  components: { Icon, Needs, Status, Tried },
  template: /* HTML */ ` <section
    class="lane is-slim"
    :class="'group-' + group"
    :aria-label="epic.title"
    :data-epic="epic.key"
  >
    <Tried
      v-if="shown"
      :key="shown.name"
      :store="store"
      :task="shown"
      :lane="lane"
      @open="$emit('open', $event)"
    />
    <div v-else class="slim" :class="'tone-' + state.tone">
      <Status :of="state" />
      <span class="slim-title"><b>{{ epic.title }}</b></span>
      <span class="slim-now card-reason" :title="note">{{ note }}</span>
      <span></span><span></span><span></span> <span class="slim-fact num">0/{{ epic.tasks.total }}</span
      ><span></span>
    </div>
    <Needs v-if="!epic.merge_commit" :store="store" :epic="epic" />
  </section>`,
  setup(props) {
    const lane = useLane(props);
    return { ...lane, lane };
  },
};

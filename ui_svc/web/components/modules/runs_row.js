// One run in the list of all.
import { computed } from "vue";
import { Eta } from "./eta.js";
import { costOf, dollars, person } from "./format.js";
import { Icon } from "./icons.js";
import { Ago, Elapsed, TaskProgress, Status } from "./parts.js";
import { href } from "./paths.js";
import { RUN, status } from "./status.js";

export const Row = {
  props: ["run"],
  components: { Ago, Elapsed, Eta, Icon, TaskProgress, Status },
  template: /* HTML */ ` <li
    class="run-row"
    :class="['tone-' + state.tone, { 'has-waiting': run.tasks.waiting }]"
  >
    <div class="run-name">
      <a class="card-link" :href="href('/' + run.name)">{{ run.title }}</a>
      <span class="quiet run-id" :title="run.project">{{ run.name.slice(5) }}</span>
    </div>
    <div class="run-state">
      <Status :of="state" /><span v-if="run.tasks.waiting" class="status tone-wait"
        ><Icon name="hand" /><b class="num">{{ run.tasks.waiting }}</b> waiting for you</span
      ><span v-else-if="run.reason" class="quiet run-why" :title="run.reason">{{ run.reason }}</span>
    </div>
    <div class="run-bar">
      <TaskProgress :tasks="run.tasks" /><span class="num quiet"
        >{{ run.tasks.accepted }}/{{ run.tasks.total }}</span
      >
    </div>
    <span class="num run-took"
      ><span title="Elapsed time"><Elapsed :from="run.started" :to="run.ended" label="Started" /></span
      ><Eta :run="run"
    /></span>
    <span class="num run-cost" title="Cost"
      ><span>{{ costOf(run.usage) || "–" }}</span
      ><span v-if="run.budget" class="budget-left">of {{ dollars(run.budget) }}</span></span
    >
    <span class="run-age quiet"
      ><Ago :time="run.created" /><span class="run-by-whom" :title="'Started by ' + run.creator"
        >{{ person(run.creator) }}</span
      ></span
    >
  </li>`,
  setup: (props) => ({ costOf, dollars, href, person, state: computed(() => status(RUN, props.run.state)) }),
};

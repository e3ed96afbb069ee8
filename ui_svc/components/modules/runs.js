// The first page: every run, and a form to start one.
import { computed, onMounted, onUnmounted, ref, shallowReactive } from "vue";
import { follow } from "./follow.js";
import { money } from "./format.js";
import { Frame, href } from "./frame.js";
import { Icon } from "./icons.js";
import { NewRun } from "./new_run.js";
import { Ago, Elapsed, Empty, Progress, Status } from "./parts.js";
import { RUN, status } from "./status.js";

const Row = {
  props: ["run"],
  components: { Ago, Elapsed, Progress, Status },
  template: `
    <li class="run-row" :class="'tone-' + state.tone">
      <div class="run-name">
        <a class="card-link" :href="href('/' + run.name)">{{ run.title }}</a>
        <span class="quiet run-id">{{ run.name.slice(5) }}</span>
      </div>
      <div class="run-state"><Status :of="state" /><span v-if="run.tasks.waiting" class="status tone-wait"><b class="num">{{ run.tasks.waiting }}</b> waiting for you</span><span v-else-if="run.reason" class="quiet run-why" :title="run.reason">{{ run.reason }}</span></div>
      <div class="run-bar"><Progress :tasks="run.tasks" /><span class="num quiet">{{ run.tasks.accepted }}/{{ run.tasks.total }}</span></div>
      <span class="num run-took" title="Elapsed time"><Elapsed :from="run.started" :to="run.ended" label="Started" /></span>
      <span class="num run-cost" title="Cost">{{ run.usage.cost || run.usage.cost_incomplete ? money(run.usage) : "–" }}</span>
      <span class="run-age quiet"><Ago :time="run.created" /></span>
    </li>`,
  setup: (props) => ({ href, money, state: computed(() => status(RUN, props.run.state)) }),
};

export default {
  components: { Empty, Frame, Icon, NewRun, Row },
  template: `
    <Frame :status="link.status">
      <template #tools><button type="button" class="button small primary" @click="creating = true"><Icon name="plus" />New run</button></template>
      <div class="page">
        <h1 class="page-title">Runs</h1>
        <Empty v-if="link.status.failure && !list.length" icon="broken" title="The runs cannot be read"><p>{{ link.status.failure }}</p></Empty>
        <div v-else-if="!link.status.ready" role="status" aria-label="Loading the runs"><div v-for="n in 4" :key="n" class="skeleton row"></div></div>
        <Empty v-else-if="!list.length" icon="branch" :title="link.status.stale ? 'The scheduler does not answer' : 'No runs yet'">
          <p v-if="link.status.stale">Start Heddle with <code>heddle up</code>. This page notices by itself.</p>
          <template v-else>
            <p>A run carries out a plan on one of your repositories: its epics in parallel, each in a worktree of its own, and you watch every agent here.</p>
            <p><button type="button" class="button primary" @click="creating = true"><Icon name="plus" />Start the first run</button></p>
            <p class="quiet">or in a terminal</p>
            <pre class="command" tabindex="0">heddle run plan.yaml --repo .</pre>
          </template>
        </Empty>
        <ol v-else class="run-list"><Row v-for="run in list" :key="run.name" :run="run" /></ol>
      </div>
      <NewRun v-if="creating" @close="creating = false" />
    </Frame>`,
  setup() {
    const runs = shallowReactive(new Map());
    const take = (news) => news.runs?.forEach((each) => runs.set(each.name, each));
    const link = follow({ ask: "heddle_look_at_runs", event: "heddle_runs", room: "runs", onSnapshot: take, onFrame: take });
    const creating = ref(false);
    document.title = "Runs – Heddle";
    const onKey = (event) => {
      if (event.key === "n" && !creating.value && !event.target.closest?.("input, textarea") && !event.ctrlKey && !event.metaKey) creating.value = true;
    };
    onMounted(() => addEventListener("keydown", onKey));
    onUnmounted(() => {
      removeEventListener("keydown", onKey);
      link.stop();
    });
    return { creating, link, list: computed(() => [...runs.values()].sort((a, b) => b.created - a.created)) };
  },
};

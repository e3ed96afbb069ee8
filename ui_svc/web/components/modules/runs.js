// The start page: every run, live.
import { onMounted, onUnmounted, ref, shallowReactive } from "vue";
import { get } from "./api.js";
import { pageTitle } from "./attention.js";
import { elements } from "./elements.js";
import { follow } from "./follow.js";
import { PageFrame } from "./frame.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { href } from "./paths.js";
import { ORDERS, PAGE, useChoice } from "./runs_choice.js";
import { Row } from "./runs_row.js";
import { toast } from "./toasts.js";

// More runs than this are left to the command line.
const MOST_RUNS = 20000;

export const RunsPage = {
  components: { Empty, PageFrame, Icon, Row },
  template: /* HTML */ ` <PageFrame :status="link.status">
    <template #tools
      ><a class="button small primary" :href="newRun"><Icon name="plus" />New run</a></template
    >
    <div class="page">
      <h1 class="page-title">Runs</h1>
      <Empty v-if="link.status.failure && !runs.size" icon="broken" title="The runs cannot be read"
        ><p>{{ link.status.failure }}</p></Empty
      >
      <div v-else-if="!link.status.ready" role="status" aria-label="Loading the runs">
        <div v-for="n in 4" :key="n" class="skeleton row"></div>
      </div>
      <Empty
        v-else-if="!runs.size"
        icon="branch"
        :title="link.status.stale ? 'The scheduler does not answer' : 'No runs yet'"
      >
        <p v-if="link.status.stale">Start Heddle with <code>heddle up</code>. This page updates by itself.</p>
        <template v-else>
          <p>
            A run executes a plan in one of your repositories. Its epics run in parallel, each in its own
            worktree, and you can watch every agent here.
          </p>
          <p>
            <a class="button primary" :href="newRun"><Icon name="plus" />Start the first run</a>
          </p>
          <p class="quiet">or in a terminal</p>
          <pre class="command" tabindex="0">heddle run plan.yaml --repo .</pre>
        </template>
      </Empty>
      <template v-else>
        <div class="runs-tools">
          <div class="search">
            <Icon name="search" /><input
              ref="input"
              v-model="choice.q"
              type="search"
              placeholder="Search runs"
              aria-label="Search runs"
              @keydown.esc="onEsc"
            />
          </div>
          <div class="choice" role="group" aria-label="State">
            <button
              v-for="state in states"
              :key="state.key"
              type="button"
              class="chip"
              :class="'tone-' + state.tone"
              :aria-pressed="choice.state === state.key"
              @click="choice.state = state.key"
            >
              <Icon v-if="state.icon" :name="state.icon" /><span>{{ state.word }}</span
              ><b class="num">{{ state.count.toLocaleString("en-US") }}</b>
            </button>
          </div>
          <span class="grow"></span>
          <select v-model="choice.sort" class="tool-filter" aria-label="Order">
            <option v-for="order in ORDERS" :key="order.key" :value="order.key">{{ order.word }}</option>
          </select>
        </div>
        <ol v-if="shown.length" class="run-list" @keydown="step">
          <Row v-for="run in shown" :key="run.name" :run="run" />
        </ol>
        <Empty v-else icon="search" title="No matching runs"
          ><p>Search looks at titles, names, repositories, reasons and who started them.</p>
          <p><button type="button" class="button" @click="clear">Show all runs</button></p></Empty
        >
        <nav v-if="pages > 1" class="pager" aria-label="Pages">
          <button type="button" class="button small" :disabled="page === 1" @click="turnTo(page - 1)">
            <Icon name="left" />Previous
          </button>
          <span class="num quiet" role="status"
            >{{ ((page - 1) * PAGE + 1).toLocaleString("en-US") }}–{{ Math.min(page * PAGE,
            chosen.length).toLocaleString("en-US") }} of {{ chosen.length.toLocaleString("en-US") }}{{ reading
            ? " so far" : "" }}</span
          >
          <button type="button" class="button small" :disabled="page === pages" @click="turnTo(page + 1)">
            Next<Icon name="right" />
          </button>
        </nav>
      </template>
    </div>
  </PageFrame>`,
  setup() {
    const runs = shallowReactive(new Map());
    const list = useChoice(runs);
    const input = ref(null);
    const take = (news) => news.runs?.forEach((each) => runs.set(each.name, each));

    // The feed has the newest runs; the others are fetched once, page by page.
    const reading = ref(false);
    async function readOlder() {
      reading.value = true;
      try {
        let token = "";
        do {
          const page = await get(`runs?page_token=${encodeURIComponent(token)}`);
          // Runs that came by the feed in the meantime are newer.
          page.runs
            .filter((each) => !(runs.get(each.name)?.sequence >= each.sequence))
            .forEach((each) => runs.set(each.name, each));
          token = page.next;
        } while (token && runs.size < MOST_RUNS);
      } catch (problem) {
        toast(`Older runs could not be read. ${problem.message}`, "bad");
      } finally {
        reading.value = false;
      }
    }
    let asked = false;
    function begin(news) {
      take(news);
      if (!asked && !news.stale) readOlder();
      asked ||= !news.stale;
    }
    function turnTo(page) {
      list.choice.page = page;
      scrollTo({ top: 0 });
    }
    const clear = () => Object.assign(list.choice, { q: "", state: "" });
    function onEsc(event) {
      if (list.choice.q) event.preventDefault();
      list.choice.q = "";
    }
    function step(event) {
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (!move) return;
      const links = elements(".run-row .card-link");
      links[links.indexOf(event.target) + move]?.focus();
      event.preventDefault();
    }
    const link = follow({
      ask: "heddle_look_at_runs",
      event: "heddle_runs",
      room: "runs",
      onSnapshot: begin,
      onFrame: take,
    });
    const newRun = href("/new");
    pageTitle.value = "Runs – Heddle";
    const onKey = (event) => {
      if (
        event.defaultPrevented ||
        event.target.closest?.("input, textarea, select, dialog") ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey
      )
        return;
      if (event.key === "n") location.assign(newRun);
      else if (event.key === "/") input.value?.focus();
      else if (event.key === "j" || event.key === "k") elements(".run-row .card-link")[0]?.focus();
      else return;
      event.preventDefault();
    };
    onMounted(() => addEventListener("keydown", onKey));
    onUnmounted(() => {
      removeEventListener("keydown", onKey);
      link.stop();
    });
    return { ...list, clear, input, newRun, link, onEsc, ORDERS, PAGE, reading, runs, step, turnTo };
  },
};

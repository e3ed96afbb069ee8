// Costs by project, run, epic, task and session, and by model.
import { computed, onMounted, onUnmounted, ref, shallowRef } from "vue";
import { get } from "./api.js";
import { pageTitle } from "./attention.js";
import { ModelCosts } from "./costs_models.js";
import { follow } from "./follow.js";
import { count, dollars } from "./format.js";
import { PageFrame } from "./frame.js";
import { Ago, Empty } from "./parts.js";
import { href } from "./paths.js";
import { said, tokens } from "./spending.js";

// While agents work, fetched again at most this often.
const AGAIN = 5000;

export const CostsPage = {
  components: { Ago, Empty, PageFrame, ModelCosts },
  template: /* HTML */ ` <PageFrame :status="link.status">
    <template #crumbs
      ><nav class="crumbs" aria-label="Breadcrumb">
        <a :href="home">Runs</a><span aria-hidden="true">/</span><span aria-current="page">Costs</span>
      </nav></template
    >
    <div class="page costs-page">
      <h1 class="page-title">Costs</h1>
      <nav class="cost-path" aria-label="Level">
        <template v-for="(step, place) in path" :key="step.parent"
          ><span v-if="place" aria-hidden="true">›</span
          ><a
            :href="address(step.parent)"
            :aria-current="place === path.length - 1 ? 'page' : undefined"
            @click="go($event, step.parent)"
            >{{ step.word }}</a
          ></template
        >
      </nav>
      <p v-if="problem" class="note is-bad" role="alert">{{ problem }}</p>
      <div v-if="!found && !problem" role="status" aria-label="Loading the costs">
        <div v-for="n in 3" :key="n" class="skeleton row"></div>
      </div>
      <template v-if="found">
        <dl class="cost-total">
          <div>
            <dt>Total</dt>
            <dd class="num">{{ said(found.total.usage) }}</dd>
          </div>
          <div>
            <dt>Tokens</dt>
            <dd class="num">{{ count(tokens(found.total.usage)) }}</dd>
          </div>
          <div v-if="found.total.budget">
            <dt>Budget left</dt>
            <dd class="num">
              {{ dollars(found.total.budget - found.total.usage.cost) }}
              <span class="quiet">of {{ dollars(found.total.budget) }}</span>
            </dd>
          </div>
          <div v-if="found.total.usage.cost_estimated">
            <dt>Estimated part</dt>
            <dd class="num">~{{ dollars(found.total.usage.cost_estimated) }}</dd>
          </div>
        </dl>
        <p v-if="found.total.usage.cost_incomplete" class="note">
          Some prices are unknown, so a sum marked ≥ is a lower bound.
        </p>
        <Empty v-if="!found.costs.length" icon="coin" title="Nothing has run yet"
          ><p>Tokens and cost are shown here as agents report them.</p></Empty
        >
        <div v-else class="cost-columns">
          <section aria-label="Breakdown">
            <h2>{{ LEVELS[level].many }}</h2>
            <div class="report-table">
              <table class="figures cost-table">
                <thead>
                  <tr>
                    <th>{{ LEVELS[level].one }}</th>
                    <th class="right">Tokens</th>
                    <th class="right">Cost</th>
                    <th class="cost-share"></th>
                    <th class="right">Budget</th>
                  </tr>
                </thead>
                <tbody>
                  <tr v-for="each in sorted" :key="each.name">
                    <th scope="row">
                      <a v-if="LEVELS[level].next" :href="address(each.name)" @click="go($event, each.name)"
                        >{{ each.title || shortName(each.name) }}</a
                      ><a v-else :href="href('/' + each.name)">Attempt {{ each.name.split("/").at(-1) }}</a
                      ><span class="quiet cost-sub"
                        ><span>{{ each.title ? shortName(each.name) : each.agent }}</span>{{ " " }}
                        <Ago :time="each.started"
                      /></span>
                    </th>
                    <td class="num right">{{ count(tokens(each.usage)) }}</td>
                    <td class="num right">{{ said(each.usage) }}</td>
                    <td class="cost-share" aria-hidden="true">
                      <i :style="{ width: share(each) + '%' }"></i>
                    </td>
                    <td class="num right">{{ each.budget ? dollars(each.budget) : "" }}</td>
                  </tr>
                </tbody>
              </table>
            </div>
            <p v-if="found.next" class="pager">
              <button type="button" class="button small" :disabled="reading" @click="readMore">
                {{ reading ? "Reading…" : "Show more" }}
              </button>
            </p>
          </section>
          <ModelCosts :models="found.total.usage.models ?? []" />
        </div>
      </template>
    </div>
  </PageFrame>`,
  setup() {
    const parent = ref(new URLSearchParams(location.search).get("of") ?? "");
    const found = shallowRef(null);
    const problem = ref("");
    const reading = ref(false);
    let turn = 0;

    async function read(token = "") {
      const mine = ++turn;
      reading.value = true;
      try {
        const page = await get(
          `costs?parent=${encodeURIComponent(parent.value)}&page_token=${encodeURIComponent(token)}`,
        );
        if (mine !== turn) return;
        found.value = token ? { ...page, costs: [...found.value.costs, ...page.costs] } : page;
        problem.value = "";
      } catch (failure) {
        if (mine === turn)
          problem.value = `${found.value ? "This page may be out of date. " : ""}${failure.message}`;
      } finally {
        if (mine === turn) reading.value = false;
      }
    }

    // A change of a run changes its cost: fetched again, unless further pages are loaded.
    let due = null;
    const again = (news) => {
      if (!news.runs || due || found.value?.costs.length > 500) return;
      due = setTimeout(() => {
        due = null;
        read();
      }, AGAIN);
    };
    const link = follow({
      ask: "heddle_look_at_runs",
      event: "heddle_runs",
      room: "runs",
      onSnapshot: () => {},
      onFrame: again,
    });

    const address = (of) => href(of ? `/costs?of=${encodeURIComponent(of)}` : "/costs");
    function show(of) {
      [parent.value, found.value] = [of, null];
      read();
    }
    function go(event, of) {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", address(of));
      show(of);
    }
    const onPop = () => show(new URLSearchParams(location.search).get("of") ?? "");

    const level = computed(() => {
      if (!parent.value) return 0;
      if (!parent.value.startsWith("runs/")) return 1;
      return 2 + (parent.value.split("/").length - 2) / 2;
    });
    const most = computed(() => Math.max(1, ...found.value.costs.map((each) => each.usage.cost)));
    pageTitle.value = "Costs – Heddle";
    onMounted(() => {
      addEventListener("popstate", onPop);
      read();
    });
    onUnmounted(() => {
      removeEventListener("popstate", onPop);
      clearTimeout(due);
      link.stop();
    });
    return {
      address,
      count,
      dollars,
      found,
      go,
      home: href("/"),
      href,
      level,
      LEVELS,
      link,
      problem,
      reading,
      tokens,
      path: computed(() => steps(parent.value, found.value?.total)),
      readMore: () => read(found.value.next),
      said,
      share: (each) => Math.round((100 * each.usage.cost) / most.value),
      shortName: (name) => (name.startsWith("runs/") ? name.split("/").at(-1) : name),
      sorted: computed(() =>
        level.value < 2
          ? [...found.value.costs].sort((a, b) => b.usage.cost - a.usage.cost)
          : found.value.costs,
      ),
    };
  },
};

const LEVELS = [
  { one: "Project", many: "By project", next: true },
  { one: "Run", many: "By run", next: true },
  { one: "Epic", many: "By epic", next: true },
  { one: "Task", many: "By task", next: true },
  { one: "Attempt", many: "By attempt", next: false },
];

// The path to `parent`: all projects, a project, a run, an epic, a task.
function steps(parent, total) {
  const way = [{ parent: "", word: "All projects" }];
  if (!parent) return way;
  if (!parent.startsWith("runs/")) return [...way, { parent, word: parent.split("/").at(-1) }];
  if (total?.project) way.push({ parent: total.project, word: total.project.split("/").at(-1) });
  const parts = parent.split("/");
  for (let end = 2; end <= parts.length; end += 2)
    way.push({
      parent: parts.slice(0, end).join("/"),
      word: end === parts.length && total?.title ? total.title : parts[end - 1],
    });
  return way;
}

// Tokens and money of this session, its task, epic and run.
import { computed, onMounted, ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { now } from "./clock.js";
import { count, money } from "./format.js";
import { byModel, KINDS, nothing, projected, report, said, sum, tokens } from "./spending.js";
import { RUN_ENDED } from "./status.js";
import { UsageChart } from "./usage_chart.js";

const NEWS = 2000;

export const Costs = {
  props: ["store", "attempt", "task", "epic", "shown", "details", "live", "until"],
  components: { UsageChart },
  template: /* HTML */ ` <div class="scroll costs" tabindex="0" aria-label="Costs">
    <div class="scopes" role="group" aria-label="Scope of the chart and the models">
      <button
        v-for="each in scopes"
        :key="each.key"
        type="button"
        class="scope"
        :aria-pressed="scope === each.key"
        @click="scope = each.key"
      >
        <span class="scope-word">{{ each.word }}</span><b class="num">{{ said(each.usage) }}</b
        ><span class="quiet num">{{ count(tokens(each.usage)) }} tokens</span>
      </button>
    </div>
    <dl v-if="outlook.length" class="outlook">
      <div v-for="each in outlook" :key="each.word">
        <dt>{{ each.word }}</dt>
        <dd class="num" :class="each.tone">{{ each.text }}</dd>
      </div>
    </dl>
    <p v-if="scopes.some((each) => each.usage.cost_incomplete)" class="note">
      Some prices are unknown, so a total marked ≥ is a lower bound.
    </p>
    <p v-if="scopes.some((each) => each.usage.cost_estimated)" class="note">
      Amounts marked ~ are estimated from the worker's price table, because the agent did not report a cost.
    </p>
    <p v-if="problem" class="note is-bad" role="alert">
      {{ problem }} <button type="button" class="button small" @click="read">Try again</button>
    </p>
    <div class="costs-head">
      <h3>Over time</h3>
      <div class="choice" role="group" aria-label="Chart of">
        <button
          v-for="each in CHARTS"
          :key="each.key"
          type="button"
          class="chip"
          :aria-pressed="of === each.key"
          @click="of = each.key"
        >
          {{ each.word }}
        </button>
      </div>
    </div>
    <UsageChart
      v-if="chosen.length"
      :reports="chosen"
      :of="of"
      :from="range.from"
      :to="range.to"
      :limit="of === 'money' ? budget?.budget : null"
    />
    <p v-else class="quiet">{{ ready ? "No usage was reported" + (live ? " yet." : ".") : "Loading…" }}</p>
    <h3>Tokens</h3>
    <div class="table-box">
      <table class="figures">
        <thead>
          <tr>
            <th></th>
            <th v-for="each in scopes" :key="each.key" class="right">{{ each.word }}</th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="kind in KINDS" :key="kind.key">
            <th scope="row">{{ kind.word }}</th>
            <td v-for="each in scopes" :key="each.key" class="num right">
              {{ each.usage[kind.key].toLocaleString("en-US") }}
            </td>
          </tr>
        </tbody>
      </table>
    </div>
    <h3>By model, {{ scopes.find((each) => each.key === scope).of }}</h3>
    <div v-if="models.length" class="table-box">
      <table class="figures">
        <thead>
          <tr>
            <th>Model</th>
            <th v-for="kind in KINDS" :key="kind.key" class="right">{{ kind.word }}</th>
            <th class="right">Cost</th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="each in models" :key="each.model">
            <th scope="row">{{ each.model || "unknown" }}</th>
            <td v-for="kind in KINDS" :key="kind.key" class="num right">
              {{ each[kind.key].toLocaleString("en-US") }}
            </td>
            <td class="num right">{{ money(each) }}</td>
          </tr>
        </tbody>
      </table>
    </div>
    <p v-else class="quiet">
      {{ ready ? "The agent has not reported any usage" + (live ? " yet." : ".") : "Loading…" }}
    </p>
  </div>`,
  setup(props) {
    const CHARTS = [
      { key: "money", word: "US dollars" },
      { key: "tokens", word: "Tokens" },
    ];
    const scope = ref("session");
    const of = ref("money");
    const reports = shallowRef([]);
    const ready = ref(false);
    const problem = ref("");
    let last = 0;

    const run = computed(() => props.store.run.value);
    /** @type {import("vue").ShallowRef<{ run?: { budget: number } }>} */
    const budgets = shallowRef({});
    const budget = computed(() => budgets.value[scope.value] ?? null);
    const [, epicKey, taskKey, number] = /\/epics\/([^/]+)\/tasks\/([^/]+)\/attempts\/(\d+)$/.exec(
      props.attempt,
    );
    const tests = {
      session: (each) => each.task === `${epicKey}/${taskKey}` && each.attempt === Number(number),
      task: (each) => each.task === `${epicKey}/${taskKey}`,
      epic: (each) => each.epic === epicKey,
      run: () => true,
    };
    const reported = computed(() =>
      props.until ? reports.value.filter((each) => each.time <= props.until) : reports.value,
    );
    const chosen = computed(() => reported.value.filter(tests[scope.value]));

    // Totals come from the scheduler; those of a past moment are summed from the reports.
    function usageOf(key) {
      if (props.until) return sum(reported.value.filter(tests[key]));
      return { ...nothing(), ...known[key]() };
    }
    const known = {
      session() {
        const summary = props.task && props.store.summaries.get(props.task.name);
        return props.live && summary?.attempt === props.attempt ? summary.usage : props.shown?.usage;
      },
      task() {
        const others = props.details.attempts.filter(
          (each) => props.task && each.name.startsWith(`${props.task.name}/`) && each.name !== props.attempt,
        );
        return sum([{ ...nothing(), ...known.session() }, ...others.map((each) => each.usage)]);
      },
      epic: () => props.epic?.usage,
      run: () => run.value?.usage,
    };
    const scopes = computed(() => [
      { key: "session", word: "This session", of: "in this session", usage: usageOf("session") },
      { key: "task", word: "Task", of: "in all attempts of the task", usage: usageOf("task") },
      { key: "epic", word: "Epic", of: "in the epic", usage: usageOf("epic") },
      { key: "run", word: "Run", of: "in the run", usage: usageOf("run") },
    ]);

    const outlook = computed(() => {
      const out = [];
      const at = scopes.value.find((each) => each.key === scope.value);
      if (budget.value?.budget) {
        const { budget: micros, reserved } = budget.value;
        const left = Math.max(0, micros - at.usage.cost);
        out.push(
          { word: `Budget (${at.word.toLowerCase()})`, text: money({ cost: micros }) },
          {
            word: "Left",
            text:
              money({ cost: left }) +
              (reserved ? `, ${money({ cost: reserved })} of it reserved for running agents` : ""),
            tone: left < micros / 10 ? "tone-bad-text" : "",
          },
        );
      }
      if (!run.value || RUN_ENDED.has(run.value.state)) return out;
      const { tasks } = run.value;
      const isOver = (task) =>
        ["accepted", "failed", "skipped"].includes(
          props.store.tasks.get(`${props.store.name}/epics/${task.replace("/", "/tasks/")}`)?.state,
        );
      const end = projected(reported.value, isOver, tasks.pending + tasks.running + tasks.waiting);
      out.push({
        word: "Projected total",
        text: end === null ? "known after the first task" : `~${money({ cost: end })}`,
        tone: budgets.value.run?.budget && end > budgets.value.run.budget ? "tone-bad-text" : "",
      });
      return out;
    });

    const range = computed(() => {
      const whole = scope.value === "session" ? props.shown : run.value;
      return {
        from: whole?.started ?? reported.value[0]?.time,
        to: props.until || (whole?.ended ?? now.value),
      };
    });
    let due = null;
    async function read() {
      problem.value = "";
      try {
        const [news, limits] = await Promise.all([
          get(`${props.store.name}/turns?kinds=usage&after=${last}`),
          get(`${props.attempt}/budgets`),
        ]);
        budgets.value = limits;
        if (news.last > last)
          reports.value = reports.value.concat(news.turns.filter((turn) => turn.sequence > last).map(report));
        last = Math.max(last, news.last);
        ready.value = true;
      } catch (error) {
        problem.value = error.message;
      }
    }
    onMounted(read);
    watch(
      () => run.value?.usage,
      () => (due ??= setTimeout(() => ((due = null), read()), NEWS)),
    );
    return {
      budget,
      CHARTS,
      chosen,
      count,
      KINDS,
      models: computed(() => byModel(chosen.value)),
      money,
      of,
      outlook,
      problem,
      range,
      read,
      ready,
      said,
      scope,
      scopes,
      tokens,
    };
  },
};

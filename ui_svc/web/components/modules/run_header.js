// The head of a run's page: title, progress and controls.
import { computed, ref, watch } from "vue";
import { post } from "./api.js";
import { useAttention } from "./attention.js";
import { Budget } from "./budget.js";
import { offer } from "./commands.js";
import { DiskUse } from "./disk_use.js";
import { Eta } from "./eta.js";
import { absolute, clockTime, person } from "./format.js";
import { Icon } from "./icons.js";
import { NewBudget } from "./new_budget.js";
import { Parallel } from "./parallel.js";
import { Ago, Ask, Elapsed, TaskProgress, Status } from "./parts.js";
import { RUN, RUN_ENDED, status } from "./status.js";
import { toast } from "./toasts.js";

export const RunHeader = {
  // `moment`: of a replay, which has no controls; 0 is now.
  props: ["store", "moment"],
  components: { Ago, Ask, Budget, DiskUse, Elapsed, Eta, NewBudget, Parallel, Icon, TaskProgress, Status },
  template: /* HTML */ ` <div class="run-head">
    <div class="run-line">
      <h1>{{ run.title }}</h1>
      <span v-if="moment" class="replay-word" :title="absolute(moment)"
        ><Icon name="replay" />Replay, {{ clockTime(moment) }}</span
      >
      <Status :of="state" />
      <span v-if="run.reason || run.fault" class="run-reason"
        >{{ run.reason || "Waiting: " + run.fault }}</span
      >
      <span class="grow"></span>
      <div v-if="!ended && !moment" class="run-controls">
        <Parallel :run="run" />
        <span v-if="asked" class="button small is-pending" role="status"
          ><Icon name="spinner" />{{ asked === "pause" ? "Pausing…" : "Resuming…" }}</span
        >
        <NewBudget v-else-if="halt" :item="halt" />
        <button
          v-else-if="run.state === 'paused'"
          type="button"
          class="button small"
          @click="change('resume')"
        >
          <Icon name="play" />Resume
        </button>
        <button
          v-else
          type="button"
          class="button small"
          title="Running agents finish; no new task starts"
          @click="change('pause')"
        >
          <Icon name="pause" />Pause
        </button>
        <Ask
          label="Cancel run"
          icon="stop"
          question="Stop every agent and end the run?"
          yes="Cancel run"
          :pending="run.state === 'cancelling' || cancelling"
          pending-label="Cancelling…"
          :act="cancel"
        />
      </div>
    </div>
    <div class="run-progress">
      <TaskProgress :tasks="run.tasks" />
      <span class="num"><b>{{ run.tasks.accepted }}</b> of {{ run.tasks.total }} tasks</span>
      <span class="num" title="Elapsed time"
        ><Elapsed :from="run.started" :to="run.ended" label="Started"
      /></span>
      <Eta v-if="!moment" :run="run" />
      <Budget :run="run" />
      <DiskUse v-if="!moment" :run="run" />
      <span class="quiet run-by"
        >{{ run.creator ? "by " + person(run.creator) + ", " : "" }}<Ago :time="run.created"
      /></span>
    </div>
    <p v-for="hold in holds" :key="hold.provider" class="run-hold">
      <Icon name="pause" /><span
        ><b>{{ hold.provider }}</b> is on hold
        <template v-if="hold.until"
          >until
          <time :datetime="new Date(hold.until).toISOString()" :title="absolute(hold.until)"
            >{{ holdEnd(hold) }}</time
          ></template
        ><template v-else>until you resume it</template>: {{ hold.reason }}</span
      ><button type="button" class="button small" :disabled="lifting.has(hold.provider)" @click="lift(hold)">
        <Icon name="play" />Resume now
      </button>
    </p>
    <p v-if="ended && run.tasks.accepted" class="run-result">
      <Icon name="branch" /><span
        >Result branch: <code>{{ run.branch }}</code
        ><template v-if="run.merge_into">, to merge into <code>{{ run.merge_into }}</code></template
        >, in <code>{{ run.project }}</code></span
      >
    </p>
  </div>`,
  setup(props) {
    const run = computed(() => props.store.run.value);
    const attention = useAttention();
    const cancelling = ref(false);
    // The request that has not taken effect yet: "pause", "resume".
    const asked = ref("");
    async function change(word) {
      asked.value = word;
      try {
        await post(`${props.store.name}:${word}`);
      } catch (problem) {
        asked.value = "";
        toast(problem.message, "bad");
      }
    }
    watch(
      () => run.value.state,
      () => (asked.value = ""),
    );
    // The providers that are being resumed.
    const lifting = ref(new Set());
    async function lift(hold) {
      lifting.value.add(hold.provider);
      try {
        await post("holds:lift", { provider: hold.provider });
      } catch (problem) {
        toast(problem.message, "bad");
      } finally {
        lifting.value.delete(hold.provider);
      }
    }
    async function cancel() {
      cancelling.value = true;
      try {
        await post(`${props.store.name}:cancel`);
      } finally {
        cancelling.value = false;
      }
    }
    offer(() => {
      if (RUN_ENDED.has(run.value.state) || props.moment) return [];
      const paused = run.value.state === "paused";
      return [
        {
          word: paused ? "Resume the run" : "Pause the run",
          hint: run.value.title,
          icon: paused ? "play" : "pause",
          run: () => change(paused ? "resume" : "pause"),
        },
      ];
    });
    return {
      absolute,
      run,
      asked,
      // If a budget paused it, a plain resume would pause it again at once.
      halt: computed(() =>
        attention.items.value.find(
          (item) => item.kind === "budget" && item.run === run.value.name && item.of,
        ),
      ),
      holds: computed(() =>
        props.moment ? [] : attention.holds.value.filter((hold) => hold.runs.includes(run.value.name)),
      ),
      holdEnd: (hold) =>
        hold.until - Date.now() > 86_400_000 ? absolute(hold.until) : clockTime(hold.until),
      lift,
      lifting,
      cancelling,
      change,
      cancel,
      clockTime,
      person,
      state: computed(() => status(RUN, run.value.state)),
      ended: computed(() => RUN_ENDED.has(run.value.state)),
    };
  },
};

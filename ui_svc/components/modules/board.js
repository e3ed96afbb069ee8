// The page of one run: the board, and over it the session that the address names.
import { computed, onMounted, onUnmounted, ref, watch, watchEffect } from "vue";
import { post } from "./api.js";
import { money, plural } from "./format.js";
import { Frame, href } from "./frame.js";
import { Icon } from "./icons.js";
import { Lane } from "./lane.js";
import { Ask, Elapsed, Empty, Progress, Status } from "./parts.js";
import { createRunStore } from "./run_store.js";
import { SessionModal } from "./session_modal.js";
import { GROUPS, RUN, RUN_ENDED, status } from "./status.js";
import { toast } from "./toasts.js";

const Header = {
  props: ["store"],
  components: { Ask, Elapsed, Icon, Progress, Status },
  template: `
    <div class="run-head">
      <div class="run-line">
        <h1>{{ run.title }}</h1>
        <Status :of="state" />
        <span v-if="run.reason" class="run-reason">{{ run.reason }}</span>
        <span class="grow"></span>
        <div v-if="!ended" class="run-controls">
          <button v-if="run.state === 'paused'" type="button" class="button small" @click="change('resume')"><Icon name="play" />Resume</button>
          <button v-else type="button" class="button small" title="Running agents go on; no new task starts" @click="change('pause')"><Icon name="pause" />Pause</button>
          <Ask label="Cancel run" icon="stop" question="Stop every agent and end the run?" yes="Cancel run" :pending="run.state === 'cancelling' || cancelling" pending-label="Cancelling…" :act="cancel" />
        </div>
      </div>
      <div class="run-progress">
        <Progress :tasks="run.tasks" />
        <span class="num"><b>{{ run.tasks.accepted }}</b> of {{ run.tasks.total }} tasks</span>
        <span class="num" title="Elapsed time"><Elapsed :from="run.started" :to="run.ended" label="Started" /></span>
        <span class="num" title="Cost of the run so far">{{ money(run.usage) }}</span>
      </div>
      <p v-if="ended && run.tasks.accepted" class="run-result"><Icon name="branch" /><span>What was accepted is on <code>{{ run.branch }}</code><template v-if="run.merge_into"> and was meant for <code>{{ run.merge_into }}</code></template> in <code>{{ run.project }}</code></span></p>
    </div>`,
  setup(props) {
    const run = computed(() => props.store.run.value);
    const cancelling = ref(false);
    async function change(word) {
      try {
        await post(`${props.store.name}:${word}`);
      } catch (problem) {
        toast(problem.message, "bad");
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
    return {
      run,
      cancelling,
      change,
      cancel,
      money,
      state: computed(() => status(RUN, run.value.state)),
      ended: computed(() => RUN_ENDED.has(run.value.state)),
    };
  },
};

const Filters = {
  props: ["lanes", "modelValue"],
  emits: ["update:modelValue"],
  components: { Icon },
  template: `
    <div class="filters" role="group" aria-label="Show">
      <button v-for="group in groups" :key="group.key" type="button" class="chip" :class="'tone-' + group.tone" :aria-pressed="modelValue === group.key" @click="$emit('update:modelValue', modelValue === group.key ? '' : group.key)">
        <Icon :name="group.icon" /><span>{{ group.word }}</span><b class="num">{{ group.count }}</b>
      </button>
    </div>`,
  setup: (props) => ({
    groups: computed(() =>
      GROUPS.map((group) => ({ ...group, count: props.lanes.filter((lane) => lane.group === group.key).length })).filter(
        (group) => group.count,
      ),
    ),
  }),
};

export default {
  props: { run: String },
  components: { Empty, Filters, Frame, Header, Icon, Lane, SessionModal },
  template: `
    <Frame :status="store.status">
      <template #crumbs><nav class="crumbs" aria-label="Where you are"><a :href="home">Runs</a><span aria-hidden="true">/</span><span aria-current="page">{{ run }}</span></nav></template>
      <Empty v-if="store.status.failure && !store.run.value" icon="search" title="This run is not here">
        <p>{{ store.status.failure }}</p><p><a class="button" :href="home">See all runs</a></p>
      </Empty>
      <div v-else-if="!store.run.value" class="board-loading" role="status" aria-label="Loading the run">
        <div class="skeleton wide"></div><div class="lanes"><div v-for="n in 6" :key="n" class="skeleton lane"></div></div>
      </div>
      <template v-else>
        <Header :store="store" />
        <Filters :lanes="lanes" v-model="only" />
        <div class="lanes" @keydown="step">
          <Lane v-for="lane in visible" :key="lane.name" :store="store" :name="lane.name" :group="lane.group" @open="open" />
        </div>
      </template>
      <SessionModal v-if="attempt && store.run.value" :store="store" :attempt="attempt" :tab="tab" @step="replace" @tab="showTab" @open="replace" @close="close" />
    </Frame>`,
  setup(props) {
    const name = `runs/${props.run}`;
    const store = createRunStore(name);
    const attempt = ref("");
    const tab = ref("");
    const only = ref("");
    const lanes = computed(() => store.lanes.value);
    const visible = computed(() => lanes.value.filter((lane) => !only.value || lane.group === only.value));
    watch(lanes, () => {
      if (!visible.value.length) only.value = "";
    });

    // The address says what is open; Back therefore closes it.
    function read() {
      const path = location.pathname.slice((window.path_prefix ?? "").length + 1);
      attempt.value = path.includes("/attempts/") ? decodeURI(path) : "";
      tab.value = new URLSearchParams(location.search).get("tab") ?? "";
    }
    const address = (of, shown) => href(`/${of}`) + (shown ? `?tab=${shown}` : "");
    let opened = false;
    function open(of) {
      history.pushState(null, "", address(of, ""));
      opened = true;
      read();
    }
    function replace(of) {
      history.replaceState(history.state, "", address(of, tab.value));
      read();
    }
    function showTab(shown) {
      history.replaceState(history.state, "", address(attempt.value, shown));
      read();
    }
    function close() {
      // Where the session came with the address there is no board to go back to.
      if (opened) history.back();
      else history.pushState(null, "", href(`/${name}`));
      opened = false;
      if (location.pathname === href(`/${name}`)) read();
      else attempt.value = "";
    }
    const onPop = () => {
      opened = false;
      read();
    };

    function step(event) {
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (!move || !event.target.matches(".card-link")) return;
      const links = [...document.querySelectorAll(".card-link")];
      links[links.indexOf(event.target) + move]?.focus();
      event.preventDefault();
    }
    const onKey = (event) => {
      if (attempt.value || event.defaultPrevented || event.target.closest?.("input, textarea, select, .card-link")) return;
      if (event.key === "j" || event.key === "k") document.querySelector(".card-link")?.focus();
    };

    read();
    onMounted(() => {
      addEventListener("popstate", onPop);
      addEventListener("keydown", onKey);
    });
    onUnmounted(() => {
      removeEventListener("popstate", onPop);
      removeEventListener("keydown", onKey);
      store.close();
    });
    watchEffect(() => {
      const waiting = [...store.tasks.values()].filter((task) => task.state === "waiting").length;
      const title = store.run.value?.title ?? props.run;
      document.title = `${waiting ? `(${waiting}) ` : ""}${title} – Heddle`;
    });
    return { store, attempt, tab, only, lanes, visible, open, replace, showTab, close, step, home: href("/"), plural };
  },
};

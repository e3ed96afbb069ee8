// One epic: the card of its session, and its tasks as compact rows.
import { computed } from "vue";
import { Approval } from "./approval.js";
import { duration, money, plural, short, took } from "./format.js";
import { Icon } from "./icons.js";
import { Ask, Elapsed, Status } from "./parts.js";
import { href } from "./paths.js";
import { ATTEMPT, ATTEMPT_LIVE, EPIC, status, TASK } from "./status.js";
import { lastOverwrite, plain } from "./text.js";

const TOOL_ICONS = { read: "file", edit: "edit", command: "terminal", search: "search" };

const Card = {
  props: ["store", "epic", "task"],
  emits: ["open"],
  components: { Approval, Ask, Elapsed, Icon, Status },
  template: `
    <article class="card" :class="'tone-' + state.tone" @click="onCard">
      <div class="card-head">
        <a class="card-link" :href="href('/' + attempt.name)" @click="open" :data-attempt="attempt.name">{{ task.title }}</a>
        <span class="card-place">Task {{ task.position }}/{{ total }}</span>
      </div>
      <div class="card-now">
        <Status :of="state" />
        <span v-if="live && tool" class="card-tool" :title="tool.target">
          <Icon :name="toolIcon" /><b>{{ tool.name }}</b><code>{{ tool.target }}</code>
        </span>
        <span v-else-if="!live && reason" class="card-reason" :title="reason">{{ reason }}</span>
      </div>
      <Approval v-if="waiting" :key="waiting.id" :waiting="waiting" :pending="pending" :act="(approved, message) => store.resolve(attempt.name, waiting.id, approved, message)" />
      <div v-else-if="lines.length && attempt.state !== 'accepted'" class="card-lines" aria-label="Last output"><div v-for="(line, place) in lines" :key="place">{{ line }}</div></div>
      <div v-else-if="live" class="card-lines is-empty">No output yet</div>
      <div class="card-foot">
        <span class="fact" title="Time of this attempt"><Icon name="clock" /><Elapsed :from="attempt.started" :to="attempt.ended" label="Started" /></span>
        <span v-if="live && turned" class="fact" title="Time in this state">{{ state.word === "Waiting for you" ? "waiting" : "in state" }} <Elapsed :from="task.since" /></span>
        <span v-if="cost" class="fact num" title="Cost of this attempt">{{ cost }}</span>
        <span v-if="attempt.diff" class="fact num diff" title="Lines added and removed"><ins>+{{ attempt.diff.insertions }}</ins> <del>−{{ attempt.diff.deletions }}</del></span>
        <span v-if="summary && summary.tool_errors" class="fact tone-bad-text" title="Tool calls that failed">{{ plural(summary.tool_errors, "error") }}</span>
        <span class="grow"></span>
        <Ask v-if="live" class="card-stop" label="Stop" icon="stop" quiet="true" question="Stop this agent?" yes="Stop" :pending="pending === 'stopping'" pending-label="Stopping…" :act="stop" />
      </div>
    </article>`,
  setup(props, { emit }) {
    const attempt = computed(() => props.task.attempt);
    const summary = computed(() => {
      const it = props.store.summaries.get(props.task.name);
      return it?.attempt === attempt.value.name ? it : attempt.value.summary;
    });
    const live = computed(() => ATTEMPT_LIVE.has(attempt.value.state));
    // The summary is newer than the attempt, but only while that lives.
    const state = computed(() => status(ATTEMPT, live.value ? (summary.value?.state ?? attempt.value.state) : attempt.value.state));
    const tool = computed(() => summary.value?.tool);
    const cost = computed(() => {
      const usage = live.value ? (summary.value?.usage ?? attempt.value.usage) : attempt.value.usage;
      return usage.cost || usage.cost_incomplete ? money(usage) : "";
    });
    function open(event) {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
      event.preventDefault();
      event.stopPropagation();
      emit("open", attempt.value.name);
    }
    // What stands above the link, to show its title, opens the session too.
    function onCard(event) {
      if (!event.target.closest("a, button, .ask, .approval")) emit("open", attempt.value.name);
    }
    return {
      attempt,
      summary,
      live,
      state,
      tool,
      cost,
      href,
      onCard,
      open,
      plural,
      toolIcon: computed(() => TOOL_ICONS[tool.value?.kind] ?? "bolt"),
      reason: computed(() => attempt.value.reason || props.task.reason),
      // A state that began with the attempt is as old as that.
      turned: computed(() => props.task.since && Math.abs(props.task.since - attempt.value.started) > 2000),
      lines: computed(() => (summary.value?.lines ?? []).map((line) => plain(lastOverwrite(line)))),
      waiting: computed(() => (live.value || attempt.value.state === "parked" ? summary.value?.waiting : null)),
      pending: computed(() => props.store.pending.get(attempt.value.name)),
      total: computed(() => props.store.tasksOf(props.epic.name).length),
      stop: () => props.store.stop(attempt.value.name),
    };
  },
};

export const Lane = {
  props: ["store", "name", "group"],
  emits: ["open"],
  components: { Card, Icon, Status },
  template: `
    <section class="lane" :class="'group-' + group" :aria-label="epic.title">
      <header class="lane-head">
        <h2 :title="epic.branch">{{ epic.title }}</h2>
        <span class="lane-count num">{{ epic.tasks.accepted }}/{{ epic.tasks.total }}</span>
        <Status v-if="says" :of="state" />
      </header>
      <div class="lane-bar" aria-hidden="true"><i v-for="task in tasks" :key="task.name" :class="'tone-' + toneOf(task)"></i></div>
      <Card v-if="shown" :key="shown.name" :store="store" :epic="epic" :task="shown" @open="$emit('open', $event)" />
      <p v-else class="lane-note"><Icon :name="state.icon" /><span>{{ note }}</span></p>
      <p v-if="epic.conflict_files.length" class="lane-note is-bad"><Icon name="merge" /><span>Conflicts in {{ epic.conflict_files.join(", ") }}. The branch <code>{{ epic.branch }}</code> is kept.</span></p>
      <ol v-if="rows.length" class="rows">
        <li v-for="task in rows" :key="task.name" :class="'row-' + task.state">
          <component :is="task.attempt ? 'a' : 'span'" class="row" v-bind="rowLink(task)">
            <span class="row-icon" :class="'tone-' + toneOf(task)"><Icon :name="status(TASK, task.state).icon" /></span>
            <span class="row-title">{{ task.title }}</span>
            <span class="row-fact num">{{ fact(task) }}</span>
            <span class="visually-hidden">{{ status(TASK, task.state).word }}</span>
          </component>
        </li>
      </ol>
    </section>`,
  setup(props, { emit }) {
    const epic = computed(() => props.store.epics.get(props.name));
    const tasks = computed(() => props.store.tasksOf(props.name));
    const shown = computed(() => props.store.shownTask(props.name));
    const state = computed(() => status(EPIC, epic.value.state));
    // What its card says already needs no second word.
    const says = computed(() => epic.value.state !== "running");
    const toneOf = (task) => (task.state === "skipped" ? "skip" : status(TASK, task.state).tone);
    const note = computed(() => {
      if (epic.value.reason) return epic.value.reason;
      if (epic.value.state === "blocked") {
        const titles = epic.value.depends_on.map((key) => props.store.epics.get(`${props.store.name}/epics/${key}`)?.title ?? key);
        return `Starts when ${titles.join(" and ")} ${titles.length > 1 ? "are" : "is"} merged`;
      }
      if (epic.value.state === "ready") return "Starts as soon as a slot is free";
      return `${plural(epic.value.tasks.total, "task")}, none started`;
    });
    function fact(task) {
      if (task.state === "accepted") return duration(task.attempt.ended - task.attempt.started);
      if (task.state === "failed") return "failed";
      if (task.state === "skipped") return "skipped";
      return "";
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
    return { epic, tasks, shown, state, says, toneOf, note, fact, rowLink, status, TASK, rows: computed(() => tasks.value.filter((task) => task !== shown.value)) };
  },
};

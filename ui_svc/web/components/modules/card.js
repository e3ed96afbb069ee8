// One session on the board: its activity, and its actions.
import { computed } from "vue";
import { Approval } from "./approval.js";
import { costOf, plural } from "./format.js";
import { Icon } from "./icons.js";
import { useInSight } from "./in_sight.js";
import { Ask, Elapsed, Status } from "./parts.js";
import { href } from "./paths.js";
import { Sparkline } from "./sparkline.js";
import { ATTEMPT, ATTEMPT_LIVE, status } from "./status.js";
import { lastOverwrite, plain, waitingFor } from "./text.js";

const TOOL_ICONS = { read: "file", edit: "edit", command: "terminal", search: "search" };

// How full the context of a session's model is; null if its agent does not report it.
export function contextOf(summary) {
  const { tokens = 0, window = 0 } = summary?.context ?? {};
  if (!tokens) return null;
  const label = window
    ? `Context ${Math.round((100 * tokens) / window)} %`
    : `Context ${tokens.toLocaleString("en")}`;
  return {
    label,
    title: `${tokens.toLocaleString("en")} tokens in the model's context${window ? ` of ${window.toLocaleString("en")}` : ""}`,
  };
}

// The content of a card or row for a task's newest attempt; `props` has the store and the task.
export function useCard(props, emit) {
  const attempt = computed(() => props.task.attempt);
  const inSight = useInSight();
  const summary = computed((before) => {
    const it = props.store.summaries.get(props.task.name);
    const now = it?.attempt === attempt.value.name ? it : attempt.value.summary;
    // A card out of sight is not redrawn for each line of its agent.
    const same =
      before?.attempt === now?.attempt &&
      before?.state === now?.state &&
      before?.waiting?.id === now?.waiting?.id &&
      before?.background?.length === now?.background?.length;
    return before && same && !inSight.value ? before : now;
  });
  const live = computed(() => ATTEMPT_LIVE.has(attempt.value.state));
  const cost = computed(() =>
    costOf(live.value ? (summary.value?.usage ?? attempt.value.usage) : attempt.value.usage),
  );
  function open(event) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    event.stopPropagation();
    emit("open", attempt.value.name);
  }
  return {
    attempt,
    // What a session waits for after its agent's turn.
    background: computed(() =>
      live.value && summary.value?.background?.length ? waitingFor(summary.value.background) : "",
    ),
    context: computed(() => (live.value ? contextOf(summary.value) : null)),
    cost,
    href,
    live,
    open,
    summary,
    // Elements above the link, which show a title, open the session too.
    onCard: (event) => event.target.closest("a, button, .ask, .approval") || emit("open", attempt.value.name),
    pending: computed(() => props.store.pending.get(attempt.value.name)),
    // The question of a parked attempt belongs to the task.
    reason: computed(() =>
      plain(
        (attempt.value.state === "parked" && props.task.reason) || attempt.value.reason || props.task.reason,
      ),
    ),
    // A state that began with the attempt is as old as the attempt.
    since: computed(() => Math.max(props.task.since ?? 0, attempt.value.started ?? 0) || null),
    // The summary is newer than the attempt, but only while that lives.
    state: computed(() =>
      status(ATTEMPT, live.value ? (summary.value?.state ?? attempt.value.state) : attempt.value.state),
    ),
    stop: () => props.store.stop(attempt.value.name),
    tool: computed(() => (live.value ? summary.value?.tool : null)),
    toolIcon: computed(() => TOOL_ICONS[summary.value?.tool?.kind] ?? "bolt"),
    total: computed(() => props.store.tasksOf(props.task.epic).length),
    waiting: computed(() => (live.value || attempt.value.state === "parked" ? summary.value?.waiting : null)),
  };
}

export const Card = {
  props: ["store", "task"],
  emits: ["open"],
  components: { Approval, Ask, Elapsed, Icon, Sparkline, Status },
  template: /* HTML */ ` <article class="card" :class="'tone-' + state.tone" @click="onCard">
    <div class="card-head">
      <a class="card-link" :href="href('/' + attempt.name)" @click="open" :data-attempt="attempt.name"
        >{{ task.title }}</a
      >
      <span class="card-place">Task {{ task.position }}/{{ total }}</span>
    </div>
    <div class="card-now">
      <Status :of="state" />
      <span v-if="live || waiting" class="card-since" title="Time in this state"
        ><Elapsed :from="since" label="In this state since"
      /></span>
      <span v-if="background" class="card-reason" :title="background">{{ background }}</span>
      <span v-else-if="tool" class="card-tool" :title="tool.target"
        ><Icon :name="toolIcon" /><b>{{ tool.name }}</b><code>{{ tool.target }}</code></span
      >
      <span v-else-if="reason" class="card-reason" :title="reason">{{ reason }}</span>
    </div>
    <Approval
      v-if="waiting"
      :key="waiting.id"
      :waiting="waiting"
      :pending="pending"
      :act="(approved, message, scope) => store.resolve(attempt.name, waiting.id, approved, message, scope)"
    />
    <div v-else-if="lines.length && attempt.state !== 'accepted'" class="card-lines" aria-label="Last output">
      <div v-for="(line, place) in lines" :key="place">{{ line }}</div>
    </div>
    <div v-else-if="live" class="card-lines is-empty">No output yet</div>
    <div class="card-foot">
      <span class="fact" title="Time of this attempt"
        ><Icon name="clock" /><Elapsed :from="attempt.started" :to="attempt.ended" label="Started"
      /></span>
      <span v-if="cost" class="fact num" title="Cost of this attempt">{{ cost }}</span>
      <span v-if="context" class="fact num" :title="context.title">{{ context.label }}</span>
      <span
        v-if="attempt.no_changes"
        class="fact tone-wait-text"
        title="Accepted without a change that git keeps"
        >No changes</span
      >
      <span v-else-if="attempt.diff" class="fact num diff" title="Lines added and removed"
        ><ins>+{{ attempt.diff.insertions }}</ins> <del>−{{ attempt.diff.deletions }}</del></span
      >
      <span v-if="summary && summary.tool_errors" class="fact tone-bad-text" title="Tool calls that failed"
        >{{ plural(summary.tool_errors, "error") }}</span
      >
      <span
        v-if="attempt.ignored"
        class="fact tone-wait-text"
        :title="'Git ignores what it also wrote: ' + plain(attempt.ignored.paths.join(', '))"
        >{{ attempt.ignored.count }} ignored</span
      >
      <Sparkline
        v-if="summary && summary.activity"
        :counts="summary.activity"
        :last="summary.active"
        :live="live"
      />
      <span class="grow"></span>
      <Ask
        v-if="live"
        class="card-stop"
        label="Stop"
        icon="stop"
        quiet="true"
        question="Stop this agent?"
        yes="Stop"
        :pending="pending === 'stopping'"
        pending-label="Stopping…"
        :act="stop"
      />
    </div>
  </article>`,
  setup(props, { emit }) {
    const card = useCard(props, emit);
    return {
      ...card,
      plain,
      plural,
      lines: computed(() => (card.summary.value?.lines ?? []).map((line) => plain(lastOverwrite(line)))),
    };
  },
};

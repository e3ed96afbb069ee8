// The session over the board. It opens at once with the board's data; the rest follows.
import { computed, nextTick, onMounted, onUnmounted, provide, ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { money } from "./format.js";
import { Icon } from "./icons.js";
import { Ask, Elapsed, Status } from "./parts.js";
import { ReplayBar } from "./replay_bar.js";
import { answerByKey, stepByKey, tabByKey } from "./session_keys.js";
import { createSessionLog } from "./session_log.js";
import { useReplay } from "./session_replay.js";
import { ATTEMPT, ATTEMPT_LIVE, status } from "./status.js";
import { Costs } from "./tab_costs.js";
import { Current } from "./tab_current.js";
import { History } from "./tab_history.js";
import { Logs } from "./tab_logs.js";
import { Quality } from "./tab_quality.js";
import { Screenshots } from "./tab_screenshots.js";
import { toast } from "./toasts.js";

export const TABS = [
  { key: "current", word: "Current", view: Current },
  { key: "history", word: "History", view: History },
  { key: "logs", word: "Logs", view: Logs },
  { key: "screenshots", word: "Screenshots", view: Screenshots },
  { key: "quality", word: "Quality", view: Quality },
  { key: "costs", word: "Costs", view: Costs },
];

export const SessionModal = {
  props: ["store", "attempt", "tab", "moment"],
  emits: ["step", "tab", "open", "close", "moment"],
  components: { Ask, Elapsed, Icon, ReplayBar, Status },
  template: /* HTML */ ` <dialog
    ref="dialog"
    class="modal session"
    aria-labelledby="modal-title"
    @cancel.prevent="leave"
    @close="leave"
    @click="onBackdrop"
    @keydown="answer"
  >
    <div class="modal-box">
      <header class="modal-head">
        <div class="modal-line">
          <h2 id="modal-title" tabindex="-1" ref="title">
            <span class="modal-epic">{{ epic?.title ?? "…" }}</span> <span class="modal-epic">–</span> {{
            task?.title ?? "…" }}
          </h2>
          <div class="modal-nav">
            <button
              type="button"
              class="icon-button"
              :disabled="!previous"
              aria-label="Previous running agent"
              title="Previous running agent (← or k)"
              @click="previous && $emit('step', previous)"
            >
              <Icon name="left" />
            </button>
            <button
              type="button"
              class="icon-button"
              :disabled="!next"
              aria-label="Next running agent"
              title="Next running agent (→ or j)"
              @click="next && $emit('step', next)"
            >
              <Icon name="right" />
            </button>
            <button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" @click="leave">
              <Icon name="cross" />
            </button>
          </div>
        </div>
        <div class="modal-facts">
          <Status v-if="shown" :of="state" />
          <span v-if="task" class="num">Task {{ task.position }}/{{ total }}</span>
          <span v-if="number > 1 || (task && task.attempts > 1)" class="num">Attempt {{ number }}</span>
          <span v-if="shown?.started" class="num" title="Time of this attempt"
            ><Elapsed :from="shown.started" :to="shown.ended" label="Started"
          /></span>
          <span v-if="usage?.cost || usage?.cost_incomplete" class="num" title="Cost of this attempt"
            >{{ money(usage) }}</span
          >
          <button v-if="own" type="button" class="button small ghost" :title="ownTitle" @click="copyOwn">
            Session {{ own.id.slice(0, 8) }}
          </button>
          <span v-if="shown?.reason" class="modal-reason">{{ shown.reason }}</span>
          <span class="grow"></span>
          <button
            v-if="!moment && shown?.started"
            type="button"
            class="button small ghost"
            title="Show this session at an earlier time"
            @click="$emit('moment', shown.started)"
          >
            <Icon name="replay" />Replay
          </button>
          <Ask
            v-if="live"
            label="Stop"
            icon="stop"
            question="Stop this agent?"
            yes="Stop"
            :pending="store.pending.get(attempt) === 'stopping'"
            pending-label="Stopping…"
            :act="() => store.stop(attempt)"
          />
        </div>
        <div class="tabs" role="tablist" aria-label="Session" @keydown="onTabKey">
          <button
            v-for="each in TABS"
            :key="each.key"
            :id="'tab-' + each.key"
            type="button"
            role="tab"
            :aria-selected="each.key === active.key"
            aria-controls="tab-panel"
            :tabindex="each.key === active.key ? 0 : -1"
            @click="$emit('tab', each.key)"
          >
            {{ each.word }}<span v-if="badge(each.key)" class="badge num">{{ badge(each.key) }}</span>
          </button>
        </div>
      </header>
      <section id="tab-panel" class="panel" role="tabpanel" :aria-labelledby="'tab-' + active.key">
        <component
          :is="active.view"
          :key="attempt + active.key"
          :store="store"
          :attempt="attempt"
          :task="task"
          :epic="epic"
          :shown="shown"
          :log="log"
          :details="known"
          :live="live"
          :until="moment"
          @open="$emit('open', $event)"
          @tab="$emit('tab', $event)"
        />
      </section>
      <ReplayBar
        v-if="bar"
        :moment="moment"
        v-bind="bar"
        @moment="$emit('moment', $event)"
        @end="$emit('moment', 0)"
      />
    </div>
  </dialog>`,
  setup(props, { emit }) {
    const dialog = ref(null);
    // Clocks in the tabs show the time of the replay.
    provide("moment", () => props.moment);
    const title = ref(null);
    const session = shallowRef(createSessionLog(props.attempt));
    // The attempt and the epic's tasks in full; absent until they are fetched.
    const details = shallowRef({ attempt: null, tasks: [], attempts: [], problem: "" });

    const taskName = computed(() => props.attempt.slice(0, props.attempt.lastIndexOf("/attempts/")));
    const task = computed(() => props.store.tasks.get(taskName.value));
    const epic = computed(() =>
      props.store.epics.get(taskName.value.slice(0, taskName.value.lastIndexOf("/tasks/"))),
    );
    const number = computed(() => Number(props.attempt.slice(props.attempt.lastIndexOf("/") + 1)));
    // The board knows only a task's newest attempt.
    const shown = computed(() =>
      task.value?.attempt?.name === props.attempt ? task.value.attempt : details.value.attempt,
    );
    const summary = computed(() => {
      const it = props.store.summaries.get(taskName.value);
      return it?.attempt === props.attempt ? it : shown.value?.summary;
    });
    // A replay has no controls.
    const live = computed(() => !props.moment && !!shown.value && ATTEMPT_LIVE.has(shown.value.state));
    const { bar, known, log } = useReplay(session, details, () => props.moment);
    const state = computed(() =>
      status(ATTEMPT, live.value ? (summary.value?.state ?? shown.value.state) : shown.value?.state),
    );
    // The agent's own session; the details may be older than it.
    const own = computed(() => shown.value?.agent_session ?? null);
    const ownTitle = computed(() =>
      own.value.command
        ? `Copy the command that opens this session in a terminal: ${own.value.command}`
        : "Copy the ID of this session",
    );
    async function copyOwn() {
      const text = own.value.command || own.value.id;
      try {
        await navigator.clipboard.writeText(text);
        toast(`Copied: ${text}`);
      } catch {
        toast(`The browser does not allow copying here: ${text}`, "bad");
      }
    }
    const usage = computed(() =>
      live.value ? (summary.value?.usage ?? shown.value.usage) : shown.value?.usage,
    );
    const total = computed(() => (epic.value ? props.store.tasksOf(epic.value.name).length : 0));
    const active = computed(() => TABS.find((each) => each.key === props.tab) ?? TABS[0]);

    // Among the running ones; from an ended one, the nearest running one.
    const place = computed(() => props.store.running.value.indexOf(props.attempt));
    const previous = computed(() => (place.value > 0 ? props.store.running.value[place.value - 1] : null));
    const next = computed(() => props.store.running.value[place.value + 1] ?? null);

    let turn = 0;
    async function readDetails() {
      const mine = ++turn;
      try {
        const [attempt, listed] = await Promise.all([get(props.attempt), get(`${epicPath()}/tasks`)]);
        if (mine === turn) details.value = { attempt, ...listed, problem: "" };
      } catch (problem) {
        if (mine === turn) details.value = { ...details.value, problem: problem.message };
      }
    }
    const epicPath = () => taskName.value.slice(0, taskName.value.lastIndexOf("/tasks/"));
    readDetails();

    watch(
      () => props.attempt,
      (attempt) => {
        session.value.close();
        session.value = createSessionLog(attempt);
        details.value = { attempt: null, tasks: [], attempts: [], problem: "" };
        readDetails();
      },
    );
    // A change of this epic may change the details too.
    watch(
      () =>
        epic.value &&
        props.store
          .tasksOf(epic.value.name)
          .map((each) => `${each.state} ${each.attempt?.state} ${each.attempt?.checks.length}`)
          .join(),
      (news, before) => before !== undefined && readDetails(),
    );

    function badge(key) {
      if (key === "screenshots")
        return log.value.shots.length || (props.moment ? "" : summary.value?.screenshots) || "";
      if (key === "quality") return summary.value?.tool_errors || "";
      return "";
    }

    // On a narrow screen the chosen tab may be outside the viewport.
    watch(active, () =>
      nextTick(() =>
        dialog.value
          .querySelector('[role="tab"][aria-selected="true"]')
          .scrollIntoView({ block: "nearest", inline: "nearest" }),
      ),
    );

    let left = false;
    function leave(event) {
      // Events of the lightbox bubble up here too.
      if (left || (event?.type !== "click" && event && event.target !== dialog.value)) return;
      left = true;
      emit("close");
    }
    function onBackdrop(event) {
      if (event.target === dialog.value) leave();
    }
    const answer = (event) => answerByKey(event, dialog.value);
    function onKey(event) {
      const by = stepByKey(event);
      if (!by) return;
      const target = by < 0 ? previous.value : next.value;
      if (target) emit("step", target);
      event.preventDefault();
    }
    async function onTabKey(event) {
      const to = tabByKey(event, TABS.indexOf(active.value), TABS.length);
      if (to === undefined) return;
      event.preventDefault();
      emit("tab", TABS[to].key);
      await nextTick();
      dialog.value.querySelector('[role="tab"][aria-selected="true"]').focus();
    }

    let opener = null;
    onMounted(() => {
      opener = document.activeElement;
      dialog.value.showModal();
      dialog.value
        .querySelector('[role="tab"][aria-selected="true"]')
        .scrollIntoView({ block: "nearest", inline: "nearest" });
      title.value.focus();
      // Not on the dialog: a button that is disabled at the end of the row loses the focus.
      document.addEventListener("keydown", onKey);
    });
    onUnmounted(() => {
      document.removeEventListener("keydown", onKey);
      session.value.close();
      // The opener may no longer exist: its card may show another attempt.
      const card = document.querySelector(`[data-attempt="${CSS.escape(props.attempt)}"]`);
      (opener?.isConnected && opener !== document.body ? opener : card)?.focus();
    });

    return {
      TABS,
      active,
      answer,
      badge,
      bar,
      copyOwn,
      dialog,
      epic,
      known,
      leave,
      live,
      log,
      money,
      next,
      number,
      onBackdrop,
      onTabKey,
      own,
      ownTitle,
      previous,
      shown,
      state,
      task,
      title,
      total,
      usage,
    };
  },
};

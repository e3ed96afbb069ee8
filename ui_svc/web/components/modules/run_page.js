// The page of one run: its board, timeline, changes, conflicts or report. The session that the address
// names opens over it.
import { computed, onMounted, onUnmounted, reactive, watchEffect } from "vue";
import { pageTitle } from "./attention.js";
import { Board } from "./board.js";
import { Changes } from "./changes.js";
import { offer } from "./commands.js";
import { Conflicts } from "./conflicts.js";
import { PageFrame } from "./frame.js";
import { Icon } from "./icons.js";
import { precompile } from "./precompile.js";
import { MissingSession } from "./missing_session.js";
import { Empty } from "./parts.js";
import { href } from "./paths.js";
import { ReplayBar } from "./replay_bar.js";
import { Report } from "./report.js";
import { addressOf, readAddress, VIEWS } from "./run_address.js";
import { RunHeader } from "./run_header.js";
import { useRunReplay } from "./run_replay.js";
import { createRunStore } from "./run_store.js";
import { SessionModal, TABS } from "./session_modal.js";
import { status, TASK } from "./status.js";
import { Timeline } from "./timeline.js";

const PAGES = { board: Board, timeline: Timeline, changes: Changes, conflicts: Conflicts, report: Report };

export const RunPage = {
  props: { run: String },
  components: { Empty, PageFrame, RunHeader, Icon, MissingSession, ReplayBar, SessionModal },
  template: /* HTML */ ` <PageFrame :status="live.status">
    <template #crumbs
      ><nav class="crumbs" aria-label="Breadcrumb">
        <a :href="home">Runs</a><span aria-hidden="true">/</span><span aria-current="page">{{ run }}</span>
      </nav></template
    >
    <Empty v-if="live.status.failure && !live.run.value" icon="search" title="Run not found">
      <p>{{ live.status.failure }}</p>
      <p><a class="button" :href="home">See all runs</a></p>
    </Empty>
    <div v-else-if="!live.run.value" class="board-loading" role="status" aria-label="Loading the run">
      <div class="skeleton wide"></div>
      <div class="lanes"><div v-for="n in 6" :key="n" class="skeleton lane"></div></div>
    </div>
    <template v-else>
      <RunHeader :store="store" :moment="at.moment" />
      <nav class="views" aria-label="Views of this run">
        <a
          v-for="view in VIEWS"
          :key="view.key"
          :href="addressOf(view.key)"
          :aria-current="at.view === view.key ? 'page' : undefined"
          @click="showView($event, view.key)"
          >{{ view.word }}</a
        >
        <span class="grow"></span
        ><button
          v-if="live.run.value.started && !at.moment"
          type="button"
          class="button small ghost"
          title="Show this run at an earlier time"
          @click="replay.begin"
        >
          <Icon name="replay" />Replay
        </button>
      </nav>
      <p v-if="live.keptFrom.value > 1" class="note">
        {{ live.keptFrom.value > live.run.value.sequence ? "The log" : "The beginning of the log" }} of this
        run is no longer kept: it is older than HEDDLE_KEEP_LOGS allows. The outcome of the run is complete.
      </p>
      <p v-if="at.moment && replay.problem.value" class="note is-bad" role="alert">
        {{ replay.problem.value }}
      </p>
      <component
        :is="page"
        :store="at.view === 'board' ? store : live"
        :covered="!!at.session"
        :moment="at.moment"
        @open="open"
      />
      <ReplayBar
        v-if="replay.bar.value && !at.session"
        class="is-page"
        :moment="at.moment"
        v-bind="replay.bar.value"
        @moment="replay.show"
        @end="replay.show(0)"
      />
      <SessionModal
        v-if="session"
        :store="store"
        :attempt="session"
        :tab="at.tab"
        :moment="at.moment"
        @step="replace"
        @tab="showTab"
        @open="replace"
        @moment="replay.show"
        @close="close"
      />
      <MissingSession
        v-else-if="at.session"
        :store="live"
        :session="at.session"
        @open="replace"
        @close="close"
      />
    </template>
  </PageFrame>`,
  setup(props) {
    const name = `runs/${props.run}`;
    const live = createRunStore(name);
    const at = reactive(readAddress(name));
    const replay = useRunReplay(live, at, () =>
      history.replaceState(history.state, "", addressOf(name, at) + location.hash),
    );
    const { store } = replay;

    const page = computed(() => PAGES[at.view] ?? Board);
    // A task's own address leads to its newest attempt.
    const session = computed(() => {
      const asked = live.tasks.get(at.session)?.attempt?.name ?? at.session;
      return live.hasAttempt(asked) ? asked : "";
    });

    // The address names the open session; Back therefore closes it.
    const read = () => Object.assign(at, readAddress(name));
    // Whether the session was opened from this page, so that Back leads to it.
    let opened = false;
    function go(change, how) {
      const next = { ...at, ...change };
      // The moment of the page below a session, restored when it is closed.
      const under = at.session ? (history.state?.under ?? 0) : at.moment;
      history[how]({ view: next.view, under }, "", addressOf(name, next));
      read();
    }
    function showView(event, view) {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      if (view !== at.view) go({ view }, "pushState");
    }
    function open(of, moment = at.moment) {
      go({ session: of, tab: "", moment }, "pushState");
      opened = true;
    }
    const replace = (of) => go({ session: of }, "replaceState");
    const showTab = (tab) => go({ session: session.value, tab }, "replaceState");
    function close() {
      if (opened) {
        at.session = "";
        history.back();
      } else go({ session: "", tab: "", moment: history.state?.under ?? 0 }, "pushState");
      opened = false;
    }
    const onPop = () => {
      opened = false;
      read();
    };

    offer(() => [
      ...VIEWS.map((view) => ({
        word: view.word,
        hint: "View of this run",
        icon: "right",
        run: () => go({ view: view.key, session: "" }, "pushState"),
      })),
      ...[...live.tasks.values()]
        .filter((task) => task.attempt)
        .map((task) => ({
          word: task.title,
          hint: `${status(TASK, task.state).word} · ${live.epics.get(task.epic)?.title}`,
          icon: "terminal",
          run: () => (at.session ? replace : open)(task.attempt.name),
        })),
    ]);
    const onKey = (event) => {
      const view = VIEWS[Number(event.key) - 1];
      if (
        !view ||
        at.session ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        document.querySelector("dialog[open]")
      )
        return;
      if (!event.target.closest?.("input, textarea, select") && view.key !== at.view)
        go({ view: view.key }, "pushState");
    };
    onMounted(() => {
      addEventListener("popstate", onPop);
      addEventListener("keydown", onKey);
      precompile(RunHeader, page.value, SessionModal, ...TABS.map((each) => each.view));
    });
    onUnmounted(() => {
      removeEventListener("popstate", onPop);
      live.close();
      removeEventListener("keydown", onKey);
    });
    watchEffect(() => (pageTitle.value = `${live.run.value?.title ?? props.run} – Heddle`));
    return {
      addressOf: (view) => addressOf(name, { view, moment: at.moment }),
      at,
      close,
      home: href("/"),
      open,
      page,
      live,
      replace,
      replay,
      session,
      showTab,
      showView,
      store,
      VIEWS,
    };
  },
};

// The page that starts a run: a plan, a repository, options, and the plan preview.
import { onMounted, onUnmounted, reactive, ref, watch } from "vue";
import { post } from "./api.js";
import { pageTitle } from "./attention.js";
import { plural } from "./format.js";
import { PageFrame } from "./frame.js";
import { Icon } from "./icons.js";
import { Options } from "./new_run_options.js";
import { Empty } from "./parts.js";
import { href } from "./paths.js";
import { EXAMPLE, whyNoPlan, keepDraft, readDraft } from "./plan_draft.js";
import { PlanEditor } from "./plan_editor.js";
import { Outlook } from "./plan_outlook.js";

const id = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

export const NewRunPage = {
  components: { Empty, PageFrame, Icon, Options, Outlook, PlanEditor },
  template: /* HTML */ ` <PageFrame :status="{ ready: true }">
    <template #crumbs
      ><nav class="crumbs" aria-label="Breadcrumb">
        <a :href="home">Runs</a><span aria-hidden="true">/</span><span aria-current="page">New run</span>
      </nav></template
    >
    <form
      class="new-run"
      aria-label="New run"
      @submit.prevent="start"
      @dragover.prevent="over = true"
      @dragleave="leave"
      @drop.prevent="drop"
      :class="{ 'is-over': over }"
    >
      <div class="new-run-left">
        <h1 class="page-title">New run</h1>
        <label class="field"
          ><span class="label">Repository</span
          ><input
            ref="first"
            v-model.trim="draft.project"
            class="mono"
            name="project"
            required
            placeholder="/home/you/code/project or https://…"
            autocomplete="on"
            spellcheck="false"
            autocapitalize="off"
          /><span class="hint"
            >Absolute path of a git repository on the machine that runs the agents, or a URL, which is cloned.
            Your checkout is not touched.</span
          ></label
        >
        <div class="field new-run-plan">
          <div class="label-line">
            <span class="label">Plan</span><span class="hint">drop a file anywhere on this page</span
            ><span class="grow"></span
            ><label class="button small file-button"
              ><Icon name="file" />Choose a file<input
                type="file"
                accept=".yaml,.yml,text/yaml"
                class="visually-hidden"
                @change="choose" /></label
            ><button v-if="!draft.text" type="button" class="button small" @click="draft.text = EXAMPLE">
              Insert an example
            </button>
          </div>
          <PlanEditor ref="editor" v-model="draft.text" :problems="problems" />
        </div>
        <Options :options="draft.options" @slots="slots = $event" />
      </div>
      <aside class="new-run-right" aria-label="Plan preview">
        <div id="plan-found" role="status" class="found">
          <p v-if="checking" class="quiet"><Icon name="spinner" /> Checking…</p>
          <template v-else-if="problems.length"
            ><p class="found-head tone-bad-text">
              <Icon name="cross" />{{ plural(problems.length, "error") }}. Fix them to start the run.
            </p></template
          >
          <p v-else-if="found" class="found-head tone-ok-text">
            <Icon name="check" />{{ plural(found.epics, "epic") }}, {{ plural(found.tasks, "task") }}, no
            errors
          </p>
        </div>
        <ul v-if="problems.length" class="problems" aria-label="Errors">
          <li v-for="(each, place) in problems" :key="place">
            <button v-if="each.line" type="button" class="line-link num" @click="editor.goTo(each.line)">
              Line {{ each.line }}</button
            ><code v-if="each.field">{{ each.field }}</code><span>{{ each.message }}</span>
          </li>
        </ul>
        <Outlook v-else-if="found && found.outlook" :found="found" :class="{ 'is-old': checking }" />
        <Empty v-else-if="!checking" icon="file" title="Plan preview"
          ><p>
            The schedule, the critical path, the estimated time and predicted conflicts appear here before
            anything starts.
          </p></Empty
        >
        <div class="new-run-foot">
          <p v-if="behind" class="note">
            {{ behind.branch }} is {{ plural(behind.commits, "commit") }} behind {{ behind.upstream }}, as
            last fetched. Agents start without them.
          </p>
          <label v-if="dirty" class="tick"
            ><input v-model="draft.allowDirty" type="checkbox" /> Start with uncommitted changes in the
            checkout; agents will not see them</label
          >
          <p v-if="refusal" class="note is-bad" role="alert">{{ refusal }}</p>
          <button
            type="submit"
            class="button primary wide"
            :disabled="busy || problems.length > 0 || !draft.text.trim()"
          >
            <Icon :name="busy ? 'spinner' : 'play'" />{{ busy ? "Starting…" : "Start run" }}
          </button>
        </div>
      </aside>
    </form>
  </PageFrame>`,
  setup() {
    const first = ref(null);
    const editor = ref(null);
    const draft = reactive(readDraft());
    const slots = ref(0);
    const dirty = ref(draft.allowDirty);
    const over = ref(false);
    const busy = ref(false);
    const checking = ref(false);
    const found = ref(null);
    const problems = ref([]);
    const refusal = ref("");
    const behind = ref(null);
    // The same form sent twice creates one run.
    let request = id();

    const body = () => ({
      yaml: draft.text,
      project: draft.project,
      agent:
        draft.options.agentKind === "command:" ? `command:${draft.options.command}` : draft.options.agentKind,
      max_parallel: draft.options.parallel || 0,
      slots: slots.value,
      base_ref: draft.options.base,
      merge_into: draft.options.into,
      budget: Math.round((draft.options.dollars || 0) * 1e6),
      allow_dirty: draft.allowDirty,
      request_id: request,
    });

    let due = null;
    let turn = 0;
    async function check() {
      const mine = ++turn;
      behind.value = null;
      if (!draft.text.trim()) {
        [found.value, problems.value, checking.value, refusal.value] = [null, [], false, ""];
        return;
      }
      try {
        const answer = await post("plan:check", { ...body(), project: "" });
        if (mine !== turn) return;
        [found.value, problems.value, refusal.value] = [answer, answer.problems, ""];
        draft.options.planned = answer.outlook?.budget ?? null;
        checking.value = false;
        // The second request goes to a worker, so it is made only for a valid plan.
        if (!draft.project || answer.problems.length) return;
        const judged = await post("plan:check", body());
        if (mine === turn) behind.value = judged.base_behind ?? null;
      } catch (problem) {
        if (mine === turn) refuse(problem);
      } finally {
        if (mine === turn) checking.value = false;
      }
    }
    function refuse(problem) {
      dirty.value ||= problem.reason === "DIRTY_CHECKOUT";
      refusal.value = problem.message;
      if (problem.reason === "INVALID_PLAN")
        problems.value = problem.violations.map((each) => ({ ...each, line: 0 }));
    }
    function checkSoon(milliseconds) {
      clearTimeout(due);
      checking.value = !!draft.text.trim();
      due = setTimeout(check, milliseconds);
    }
    watch(
      () => draft.text,
      () => checkSoon(300),
    );
    // A half-typed path is not an error yet.
    watch(
      () => [
        slots.value,
        draft.project,
        draft.allowDirty,
        ...Object.entries(draft.options)
          .filter(([key]) => key !== "planned")
          .map(([, value]) => value),
      ],
      () => checkSoon(600),
    );
    watch(draft, () => {
      request = id();
      keepDraft(draft);
    });

    async function take(file) {
      over.value = false;
      if (!file) return;
      const wrong = whyNoPlan(file);
      if (wrong) refusal.value = wrong;
      else draft.text = await file.text();
    }

    async function start() {
      busy.value = true;
      refusal.value = "";
      try {
        const answer = await post("runs", body());
        if (answer.problems?.length) {
          problems.value = answer.problems;
          busy.value = false;
          return;
        }
        keepDraft({ ...draft, text: "" });
        localStorage.setItem("heddle-project", draft.project);
        // It stays busy until the run's page is loaded.
        location.assign(href(`/${answer.name}`));
      } catch (problem) {
        busy.value = false;
        refuse(problem);
      }
    }

    pageTitle.value = "New run – Heddle";
    onMounted(() => {
      if (!draft.project) first.value.focus();
      if (draft.text) checkSoon(0);
    });
    onUnmounted(() => clearTimeout(due));
    return {
      behind,
      busy,
      checking,
      dirty,
      draft,
      editor,
      EXAMPLE,
      first,
      found,
      over,
      plural,
      problems,
      refusal,
      slots,
      start,
      choose: (event) => take(event.target.files[0]),
      drop: (event) => take(event.dataTransfer.files[0]),
      home: href("/"),
      leave: (event) => event.currentTarget.contains(event.relatedTarget) || (over.value = false),
    };
  },
};

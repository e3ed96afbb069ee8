// A form that starts a run: a plan, a repository, and how many agents at once.
import { onMounted, ref, watch } from "vue";
import { get, post } from "./api.js";
import { plural } from "./format.js";
import { Icon } from "./icons.js";
import { href } from "./paths.js";

const EXAMPLE = `name: First run
epics:
  - key: backend
    title: Backend API
    tasks:
      - key: health
        title: Add a health endpoint
        prompt: |
          Add GET /health that answers 200 with {"ok": true}, and a test for it.
        checks:
          - name: tests
            run: pytest -q
`;

// Plan files are at most 4 MiB; more is no plan.
const MOST_BYTES = 4 << 20;

export const NewRun = {
  emits: ["close"],
  components: { Icon },
  template: `
    <dialog ref="dialog" class="modal form-modal" aria-labelledby="new-run-title" @cancel.prevent="$emit('close')" @close="$emit('close')" @click="onBackdrop">
      <form class="modal-box" @submit.prevent="start" @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="drop" :class="{ 'is-over': over }">
        <header class="modal-head"><div class="modal-line"><h2 id="new-run-title">New run</h2><div class="modal-nav"><button type="button" class="icon-button" aria-label="Close" @click="$emit('close')"><Icon name="cross" /></button></div></div></header>
        <div class="form scroll">
          <label class="field"><span class="label">Repository</span><input ref="first" v-model.trim="project" class="mono" name="project" required placeholder="/home/you/code/project" autocomplete="on" spellcheck="false" /><span class="hint">Absolute path of a git repository on the machine that runs the agents. Your checkout is not touched.</span></label>
          <div class="field">
            <div class="label-line"><label class="label" for="plan-text">Plan</label><span class="grow"></span><label class="button small file-button"><Icon name="file" />Choose a file<input type="file" accept=".yaml,.yml,text/yaml" class="visually-hidden" @change="choose" /></label><button v-if="!text" type="button" class="button small ghost" @click="text = EXAMPLE">Insert an example</button></div>
            <textarea id="plan-text" v-model="text" class="mono" name="plan" rows="14" required spellcheck="false" placeholder="Paste a plan, or drop a file here" :aria-invalid="problems.length > 0" aria-describedby="plan-found"></textarea>
            <div id="plan-found" role="status" class="found">
              <p v-if="checking" class="quiet">Checking…</p>
              <template v-else-if="problems.length"><p class="found-head tone-bad-text"><Icon name="cross" />{{ plural(problems.length, "mistake") }}. Nothing is created until the plan is right.</p><ul class="problems"><li v-for="(each, place) in problems" :key="place"><button v-if="each.line" type="button" class="line-link num" @click="goTo(each.line)">Line {{ each.line }}</button><code v-if="each.field">{{ each.field }}</code><span>{{ each.message }}</span></li></ul></template>
              <p v-else-if="found" class="found-head tone-ok-text"><Icon name="check" />{{ plural(found.epics, "epic") }}, {{ plural(found.tasks, "task") }}</p>
            </div>
          </div>
          <div class="field-row">
            <label class="field"><span class="label">Agent</span><select v-model="agentKind" name="agent"><option value="">As the plan says</option><option v-for="each in agents" :key="each.name" :value="each.name" :disabled="!each.available">{{ each.name === "command:" ? "A command…" : each.name }}{{ each.available ? "" : " (not installed)" }}</option></select></label>
            <label v-if="agentKind === 'command:'" class="field grow"><span class="label">Command</span><input v-model.trim="command" class="mono" required placeholder="my-agent --auto" /></label>
            <label class="field narrow"><span class="label">Agents at once</span><input v-model.number="parallel" type="number" name="parallel" min="1" max="500" placeholder="all slots" /></label>
            <label class="field narrow"><span class="label">Start from</span><input v-model.trim="base" class="mono" name="base" placeholder="HEAD" spellcheck="false" /></label>
          </div>
          <label v-if="dirty" class="tick"><input v-model="allowDirty" type="checkbox" /> Start although the checkout has changes that are not committed; agents will not see them</label>
          <p v-if="refusal" class="note is-bad" role="alert">{{ refusal }}</p>
        </div>
        <footer class="form-foot"><button type="button" class="button" @click="$emit('close')">Close</button><button type="submit" class="button primary" :disabled="busy || problems.length > 0">{{ busy ? "Starting…" : "Start run" }}</button></footer>
      </form>
    </dialog>`,
  setup(_, { emit }) {
    const dialog = ref(null);
    const first = ref(null);
    const project = ref(localStorage.getItem("heddle-project") ?? "");
    const text = ref("");
    const agents = ref([]);
    const agentKind = ref("");
    const command = ref("");
    const parallel = ref("");
    const base = ref("");
    const allowDirty = ref(false);
    const dirty = ref(false);
    const over = ref(false);
    const busy = ref(false);
    const checking = ref(false);
    const found = ref(null);
    const problems = ref([]);
    const refusal = ref("");
    // The same form sent twice creates one run.
    let request = crypto.randomUUID?.() ?? String(Math.random());

    const body = () => ({
      yaml: text.value,
      project: project.value,
      agent: agentKind.value === "command:" ? `command:${command.value}` : agentKind.value,
      max_parallel: parallel.value || 0,
      base_ref: base.value,
      allow_dirty: allowDirty.value,
      request_id: request,
    });

    let due = null;
    let turn = 0;
    async function check() {
      const mine = ++turn;
      if (!text.value.trim()) {
        [found.value, problems.value, checking.value] = [null, [], false];
        return;
      }
      try {
        const answer = await post("plan:check", { yaml: text.value });
        if (mine !== turn) return;
        [found.value, problems.value, refusal.value] = [answer, answer.problems, ""];
        // The second question goes to a worker, so only a good plan is worth it.
        if (project.value && !answer.problems.length) await post("plan:check", body());
      } catch (problem) {
        if (mine === turn) refuse(problem);
      } finally {
        if (mine === turn) checking.value = false;
      }
    }
    function refuse(problem) {
      dirty.value ||= problem.reason === "DIRTY_CHECKOUT";
      refusal.value = problem.message;
      if (problem.reason === "INVALID_PLAN") problems.value = problem.violations.map((each) => ({ ...each, line: 0 }));
    }
    function checkSoon(milliseconds) {
      clearTimeout(due);
      checking.value = !!text.value.trim();
      due = setTimeout(check, milliseconds);
    }
    watch(text, () => checkSoon(300));
    // Half a path is no mistake yet.
    watch([project, agentKind, command, parallel, base, allowDirty], () => checkSoon(800));
    watch([text, project, agentKind, command, parallel, base, allowDirty], () => (request = crypto.randomUUID?.() ?? String(Math.random())));

    async function take(file) {
      over.value = false;
      if (!file) return;
      if (file.size > MOST_BYTES) refusal.value = `${file.name} is larger than 4 MiB, which no plan is. Choose another file.`;
      else text.value = await file.text();
    }

    async function start() {
      busy.value = true;
      refusal.value = "";
      try {
        const answer = await post("runs", body());
        if (answer.problems?.length) {
          problems.value = answer.problems;
          return;
        }
        localStorage.setItem("heddle-project", project.value);
        location.assign(href(`/${answer.name}`));
      } catch (problem) {
        refuse(problem);
      } finally {
        busy.value = false;
      }
    }

    function goTo(line) {
      const area = dialog.value.querySelector("#plan-text");
      const lines = text.value.split("\n");
      const from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      area.focus();
      area.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
      area.scrollTop = (line - 4) * parseFloat(getComputedStyle(area).lineHeight);
    }

    onMounted(async () => {
      dialog.value.showModal();
      first.value.focus();
      const workers = await get("workers").catch(() => []);
      const byName = new Map(workers.filter((worker) => worker.connected).flatMap((worker) => worker.agents.map((agent) => [agent.name, agent])));
      agents.value = [...byName.values()];
    });
    return {
      agentKind, agents, allowDirty, base, busy, checking, command, dialog, dirty, EXAMPLE, first, found, goTo, over, parallel, plural, problems, project, refusal, start, text,
      choose: (event) => take(event.target.files[0]),
      drop: (event) => take(event.dataTransfer.files[0]),
      onBackdrop: (event) => event.target === dialog.value && !text.value && emit("close"),
    };
  },
};

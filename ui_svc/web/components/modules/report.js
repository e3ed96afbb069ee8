// The report of a run: what was done, what was not and why.
import { computed, onMounted, ref, shallowRef, watch } from "vue";
import { apiUrl, get } from "./api.js";
import { offer } from "./commands.js";
import { absolute, costOf, dollars, duration, money, person, plural, short } from "./format.js";
import { Icon } from "./icons.js";
import { TaskProgress, Status } from "./parts.js";
import { href } from "./paths.js";
import { saveReport } from "./report_file.js";
import { gather } from "./report_facts.js";
import { RUN, status } from "./status.js";
import { plain } from "./text.js";
import { toast } from "./toasts.js";

// Kinds of turns whose content epics and tasks do not have.
const KINDS = "screenshot,merge_finished,merge_conflicted,approval_resolved";

export const Report = {
  props: ["store"],
  emits: ["open"],
  components: { Icon, TaskProgress, Status },
  template: /* HTML */ ` <div class="report-tools">
      <button type="button" class="button small" @click="print"><Icon name="printer" />Print</button
      ><button type="button" class="button small" :disabled="saving" @click="save">
        <Icon name="download" />{{ saving ? "Saving…" : "Download as one file" }}
      </button>
    </div>
    <article ref="paper" class="report" aria-labelledby="report-title">
      <header class="report-head">
        <p class="report-kind">Run report · {{ absolute(readAt) }}</p>
        <h2 id="report-title">{{ run.title }}</h2>
        <p class="report-verdict" :class="'tone-' + state.tone">
          <Icon :name="state.icon" /><span>{{ verdict }}</span>
        </p>
        <p v-if="run.reason" class="report-why">{{ plain(run.reason) }}</p>
        <TaskProgress :tasks="run.tasks" />
        <dl class="report-facts">
          <div v-for="fact in facts" :key="fact.word">
            <dt>{{ fact.word }}</dt>
            <dd class="num">{{ fact.value }}</dd>
          </div>
        </dl>
        <p class="quiet">
          {{ run.name }} on <code>{{ run.project }}</code> from <code>{{ short(run.base_commit) }}</code>{{
          behind }}, started{{ run.creator ? " by " + person(run.creator) : "" }} {{ absolute(run.created) }}
        </p>
      </header>
      <p v-if="problem" class="note is-bad" role="alert">{{ problem }}</p>

      <section aria-labelledby="report-done">
        <h3 id="report-done">Done</h3>
        <p v-if="!all.done.length" class="quiet">Nothing was accepted{{ ended ? "." : " yet." }}</p>
        <div v-for="epic in all.done" :key="epic.key" class="report-epic">
          <h4>
            {{ epic.title }} <Status :of="epic.state" /><span v-if="epic.merge" class="quiet"
              >as <code>{{ short(epic.merge) }}</code></span
            >
          </h4>
          <div class="report-table">
            <table class="figures">
              <thead>
                <tr>
                  <th>Task</th>
                  <th>Tests</th>
                  <th class="right">Lines</th>
                  <th class="right">Duration</th>
                  <th class="right">Attempts</th>
                  <th class="right">Cost</th>
                </tr>
              </thead>
              <tbody>
                <tr v-for="task in epic.tasks" :key="task.name">
                  <th scope="row"><a :href="href('/' + task.attempt.name)">{{ task.title }}</a></th>
                  <td>
                    {{ task.tests }}<span
                      v-if="task.attempt.ignored"
                      class="tone-wait-text"
                      :title="plain(task.attempt.ignored.paths.join(', '))"
                    >
                      · {{ plural(task.attempt.ignored.count, "ignored file") }}</span
                    >
                  </td>
                  <td class="num right diff">
                    <span v-if="task.attempt.no_changes" class="tone-wait-text">no changes</span
                    ><template v-else-if="task.attempt.diff"
                      ><ins>+{{ task.attempt.diff.insertions }}</ins>{{ " " }}
                      <del>−{{ task.attempt.diff.deletions }}</del></template
                    >
                  </td>
                  <td class="num right">{{ duration(task.attempt.ended - task.attempt.started) }}</td>
                  <td class="num right">{{ task.attempts }}</td>
                  <td class="num right">{{ costOf(task.attempt.usage) || "–" }}</td>
                </tr>
              </tbody>
            </table>
          </div>
        </div>
      </section>

      <section v-if="all.notDone.length || all.ahead" aria-labelledby="report-not">
        <h3 id="report-not">Not done, and why</h3>
        <ul class="report-list">
          <li v-for="each in all.notDone" :key="each.key" :class="'tone-' + each.state.tone">
            <Status :of="each.state" />
            <div>
              <p><b>{{ each.title }}</b> <span class="quiet">{{ each.place }}</span></p>
              <p v-if="each.why" class="report-reason">{{ plain(each.why) }}</p>
              <p v-if="each.saved" class="quiet">Saved: <code>{{ each.saved }}</code></p>
              <p v-if="each.next" class="quiet">{{ each.next }}</p>
            </div>
          </li>
        </ul>
        <p v-if="all.ahead" class="quiet report-ahead">{{ all.ahead }}</p>
      </section>

      <section aria-labelledby="report-merges">
        <h3 id="report-merges">Merges</h3>
        <p class="quiet">
          Result branch: <code>{{ run.branch }}</code
          ><template v-if="run.merge_into">, to merge into <code>{{ run.merge_into }}</code></template>
        </p>
        <ul v-if="all.merges.length" class="report-list">
          <li v-for="(each, place) in all.merges" :key="place" :class="each.ok ? 'tone-ok' : 'tone-bad'">
            <Icon :name="each.ok ? 'check' : 'merge'" />
            <div>
              <p>
                <b>{{ each.title }}</b> {{ each.words }} <span class="quiet">{{ absolute(each.time) }}</span>
              </p>
              <pre v-if="each.advice" class="report-advice">{{ plain(each.advice) }}</pre>
            </div>
          </li>
        </ul>
        <p v-else class="quiet">Nothing was merged{{ ended ? "." : " yet." }}</p>
      </section>

      <section aria-labelledby="report-cost">
        <h3 id="report-cost">Cost</h3>
        <div v-if="run.usage.models && run.usage.models.length" class="report-table">
          <table class="figures">
            <thead>
              <tr>
                <th>Model</th>
                <th class="right">Input</th>
                <th class="right">Output</th>
                <th class="right">Cached</th>
                <th class="right">Cost</th>
              </tr>
            </thead>
            <tbody>
              <tr v-for="each in run.usage.models" :key="each.model">
                <th scope="row">{{ each.model || "unknown" }}</th>
                <td class="num right">{{ each.input.toLocaleString("en-US") }}</td>
                <td class="num right">{{ each.output.toLocaleString("en-US") }}</td>
                <td class="num right">{{ (each.cache_read + each.cache_write).toLocaleString("en-US") }}</td>
                <td class="num right">{{ money(each) }}</td>
              </tr>
            </tbody>
          </table>
        </div>
        <p v-else class="quiet">
          No agent has reported its usage. That does not mean that nothing was spent.
        </p>
        <p v-if="run.budget" class="quiet">Budget {{ dollars(run.budget) }}.</p>
      </section>

      <section v-if="shots.length" aria-labelledby="report-shots">
        <h3 id="report-shots">Screenshots</h3>
        <div class="report-shots">
          <figure v-for="shot in shots" :key="shot.key">
            <img :src="shot.url" :alt="shot.caption || 'Screenshot'" loading="lazy" />
            <figcaption>
              {{ plain(shot.caption || "Screenshot") }} <span class="quiet">{{ shot.place }}</span>
            </figcaption>
          </figure>
        </div>
      </section>
    </article>`,
  setup(props) {
    const paper = ref(null);
    const run = computed(() => props.store.run.value);
    const turns = shallowRef([]);
    const problem = ref("");
    const saving = ref(false);
    const readAt = ref(Date.now());
    const ended = computed(() => !!run.value.ended);
    let after = 0;
    let reading = false;
    // Fetches the next turns whenever the run's log has grown.
    async function read() {
      if (reading) return;
      reading = true;
      try {
        do {
          const page = await get(`${run.value.name}/turns?after=${after}&kinds=${KINDS}`);
          if (page.turns.length) turns.value = [...turns.value, ...page.turns];
          [after, readAt.value, problem.value] = [page.last, Date.now(), ""];
        } while (after < run.value.sequence);
      } catch (failure) {
        problem.value = `Merges and screenshots could not be read. ${failure.message}`;
      } finally {
        reading = false;
      }
    }
    watch(() => run.value.sequence, read);
    onMounted(read);

    const all = computed(() => gather(props.store, turns.value));
    const title = (turn) =>
      props.store.tasks.get(`${run.value.name}/epics/${turn.epic}/tasks/${turn.task}`)?.title ?? turn.task;
    const shots = computed(() =>
      turns.value
        .filter((turn) => turn.type === "screenshot")
        .map((turn) => {
          const attempt = `${run.value.name}/epics/${turn.epic}/tasks/${turn.task}/attempts/${turn.attempt}`;
          return {
            key: turn.sequence,
            caption: turn.caption,
            place: title(turn),
            url: apiUrl(`${attempt}/artifacts/${turn.artifact}`),
          };
        }),
    );
    const facts = computed(() => [
      { word: "Tasks done", value: `${run.value.tasks.accepted} of ${run.value.tasks.total}` },
      {
        word: ended.value ? "Duration" : "Running for",
        value: run.value.started ? duration((run.value.ended ?? readAt.value) - run.value.started) : "–",
      },
      {
        word: "Cost",
        value: costOf(run.value.usage) || "–",
      },
      { word: "Tests", value: all.value.tests },
      { word: "Lines", value: all.value.lines },
      { word: "Approvals given", value: String(all.value.answers) },
    ]);
    const behind = computed(() => {
      const { branch, commits, upstream } = run.value.base_behind ?? {};
      return branch ? ` (${branch} was ${plural(commits, "commit")} behind ${upstream})` : "";
    });
    async function save() {
      saving.value = true;
      try {
        await saveReport(paper.value, run.value);
      } catch (failure) {
        toast(`The report was not saved. ${failure.message}`, "bad");
      } finally {
        saving.value = false;
      }
    }
    const verdict = computed(() => {
      const { accepted, failed, skipped, unchanged, waiting, total } = run.value.tasks;
      const rest = [
        unchanged && `${unchanged} without a change`,
        failed && `${failed} failed`,
        skipped && `${skipped} skipped`,
        waiting && `${waiting} waiting for you`,
      ].filter(Boolean);
      const done = `${accepted} of ${plural(total, "task")} done`;
      return `${status(RUN, run.value.state).word}: ${[done, ...rest].join(", ")}`;
    });
    const print = () => window.print();
    offer(() => [
      { word: "Download the report", hint: run.value.title, icon: "download", run: save },
      { word: "Print the report", hint: run.value.title, icon: "printer", run: print },
    ]);
    return {
      absolute,
      all,
      behind,
      costOf,
      dollars,
      duration,
      ended,
      facts,
      href,
      money,
      paper,
      person,
      plain,
      plural,
      print,
      problem,
      run,
      save,
      saving,
      short,
      shots,
      state: computed(() => status(RUN, run.value.state)),
      readAt,
      verdict,
    };
  },
};

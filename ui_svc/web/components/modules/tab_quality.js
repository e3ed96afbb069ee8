// The quality of the work: checks, tests, the change, and tool errors.
import { computed } from "vue";
import { AttemptDiff } from "./attempt_diff.js";
import { CommitChecks } from "./commit_checks.js";
import { Evidence, signed } from "./evidence.js";
import { plural, short, took } from "./format.js";
import { plain } from "./text.js";

export const Quality = {
  props: ["store", "attempt", "epic", "shown", "details", "log", "live"],
  components: { AttemptDiff, CommitChecks, Evidence },
  template: /* HTML */ ` <div class="scroll quality" tabindex="0" aria-label="Quality">
    <div class="scopes">
      <div class="scope">
        <span class="scope-word">Checks</span
        ><b class="num">{{ checks.length ? passed + "/" + checks.length : "–" }}</b
        ><span class="quiet">{{ checks.length ? "passed" : live ? "run after the agent" : "none" }}</span>
      </div>
      <div class="scope">
        <span class="scope-word">Tests</span
        ><b class="num"
          ><template v-if="tests && change('passed')">{{ tests.passed - change("passed") }} → </template>{{
          tests ? tests.passed : "–" }}</b
        ><span class="quiet">{{ testsNote }}</span>
      </div>
      <div v-if="covered !== null" class="scope">
        <span class="scope-word">Coverage</span><b class="num">{{ covered.toFixed(1) }} %</b
        ><span class="num" :class="change('coverage') < 0 ? 'tone-bad-text' : 'quiet'"
          >{{ coverageNote }}</span
        >
      </div>
      <div v-if="found !== null" class="scope">
        <span class="scope-word">Findings</span
        ><b class="num" :class="{ 'tone-bad-text': sum('findings', 'errors') }">{{ found }}</b
        ><span class="quiet">{{ findingsNote }}</span>
      </div>
      <div class="scope">
        <span class="scope-word">Change</span
        ><b v-if="shown?.diff" class="num diff"
          ><ins>+{{ shown.diff.insertions }}</ins> <del>−{{ shown.diff.deletions }}</del></b
        ><b v-else>–</b><span v-if="shown?.no_changes" class="tone-wait-text">no changes</span
        ><span v-else class="quiet"
          >{{ shown?.diff ? plural(shown.diff.files, "file") : "nothing committed yet" }}</span
        >
      </div>
      <div class="scope">
        <span class="scope-word">Tool errors</span
        ><b class="num" :class="{ 'tone-bad-text': failures.length }">{{ failures.length }}</b
        ><span class="quiet">in this session</span>
      </div>
      <div class="scope">
        <span class="scope-word">Commit</span
        ><b><code>{{ shown?.commit ? short(shown.commit) : "–" }}</code></b
        ><span class="quiet"
          >{{ shown?.commit ? "accepted" : shown?.kept_ref ? "work is kept" : "none" }}</span
        >
      </div>
    </div>
    <h3>Checks</h3>
    <details
      v-for="check in checks"
      :key="check.name"
      class="check"
      :class="{ 'is-bad': !check.ok }"
      :open="!check.ok || worse(check)"
    >
      <summary>
        <span class="tool-mark">{{ check.ok ? "✓" : "✗" }}</span><b>{{ check.name }}</b
        ><code class="tool-target">{{ check.command }}</code
        ><span v-if="check.tests" class="num quiet"
          >{{ check.tests.passed }} passed, {{ check.tests.failed }} failed</span
        ><span v-if="worse(check)" class="num tone-bad-text">{{ plural(worse(check), "new failure") }}</span
        ><span class="num tool-time">{{ verdict(check) }} · {{ took(check.seconds) }}</span>
      </summary>
      <Evidence :check="check" :since="details.attempt?.since" />
      <pre tabindex="0">{{ plain(check.output ?? "") || "No output." }}</pre>
    </details>
    <p v-if="checks.length && details.attempt?.since" class="quiet">
      Compared with {{ plain(details.attempt.since.title) }}, the task accepted before.
    </p>
    <p v-if="!checks.length" class="quiet">
      {{ live ? "Checks run when the agent has finished." : "This attempt ran no checks." }}
    </p>
    <p v-if="shown?.background_stopped?.length" class="note" role="status">
      Stopped before the checks, as it still ran in the background: {{ plain(stopped) }}
    </p>
    <CommitChecks v-if="epic" :tasks="store.tasksOf(epic.name)" :attempt="attempt" />
    <h3>Change</h3>
    <AttemptDiff v-if="shown?.diff" :attempt="attempt" />
    <p v-else class="quiet">The change is shown once it is committed.</p>
    <template v-if="shown?.ignored">
      <h3>Ignored files</h3>
      <p class="quiet">
        Git ignores {{ plural(shown.ignored.count, "file") }} written while the agent worked. Checks may have
        used them; the commit does not include them.
      </p>
      <ul class="quality-ignored">
        <li v-for="path in shown.ignored.paths" :key="path"><code>{{ plain(path) }}</code></li>
        <li v-if="shown.ignored.count > shown.ignored.paths.length" class="quiet">
          and {{ shown.ignored.count - shown.ignored.paths.length }} more
        </li>
      </ul>
    </template>
    <p v-if="shown?.found_ref" class="quiet">
      The worktree had changes that no attempt made when this attempt began. They are saved at
      <code>{{ shown.found_ref }}</code>.
    </p>
    <template v-if="shown?.unfilled?.length">
      <h3>Submodules</h3>
      <p class="quiet">These submodules could not be filled, so the agent did not have their files.</p>
      <ul class="quality-ignored">
        <li v-for="each in shown.unfilled" :key="each.path">
          <code>{{ plain(each.path) }}</code>: {{ plain(each.reason) }}
        </li>
      </ul>
    </template>
    <template v-if="failures.length">
      <h3>Tool errors</h3>
      <details v-for="each in failures" :key="each.sequence" class="check is-bad">
        <summary>
          <span class="tool-mark">✗</span><b>{{ each.tool?.name ?? "Tool" }}</b
          ><code class="tool-target">{{ each.tool?.target }}</code
          ><span class="num tool-time">{{ took(each.duration) }}</span>
        </summary>
        <pre tabindex="0">{{ plain(each.result ?? "") || "No output." }}</pre>
      </details>
    </template>
  </div>`,
  setup(props) {
    // The board's attempt is newer; the details have the output of the checks.
    const checks = computed(() => {
      const whole = new Map((props.details.attempt?.checks ?? []).map((check) => [check.name, check]));
      return (props.shown?.checks ?? []).map((check) => ({ ...whole.get(check.name), ...check }));
    });
    const tests = computed(() => {
      const counted = checks.value.filter((check) => check.tests).map((check) => check.tests);
      if (!counted.length) return null;
      return counted.reduce(
        (all, each) => ({
          passed: all.passed + each.passed,
          failed: all.failed + each.failed,
          skipped: all.skipped + each.skipped,
        }),
        { passed: 0, failed: 0, skipped: 0 },
      );
    });
    function verdict(check) {
      if (check.ok) return "passed";
      return check.exit_code === null ? "terminated" : `exit code ${check.exit_code}`;
    }
    // Tests that began to fail since the previous task.
    const worse = (check) => props.details.attempt?.since?.checks[check.name]?.began?.length ?? 0;
    const since = computed(() => Object.values(props.details.attempt?.since?.checks ?? {}));
    // The difference to the previous task over all checks; null if it is not known.
    const change = (kind) =>
      kind === "coverage" && checks.value.filter((check) => check.coverage).length > 1
        ? null
        : since.value.reduce((all, each) => (each[kind] === null ? all : (all ?? 0) + each[kind]), null);
    const sum = (kind, part) => checks.value.reduce((all, check) => all + (check[kind]?.[part] ?? 0), 0);
    const covered = computed(() =>
      sum("coverage", "valid") ? (100 * sum("coverage", "covered")) / sum("coverage", "valid") : null,
    );
    const found = computed(() =>
      checks.value.some((check) => check.findings)
        ? sum("findings", "errors") + sum("findings", "warnings") + sum("findings", "notes")
        : null,
    );
    const testsNote = computed(() =>
      tests.value
        ? `${plural(tests.value.failed, "failed", "failed")}, ${tests.value.skipped} skipped`
        : "no report found",
    );
    const coverageNote = computed(() =>
      change("coverage") === null
        ? "no baseline"
        : `${signed(change("coverage"), 1)} since the previous task`,
    );
    const findingsNote = computed(() =>
      change("findings") === null
        ? plural(sum("findings", "errors"), "error")
        : `${signed(change("findings"))} since the previous task`,
    );
    return {
      change,
      checks,
      coverageNote,
      covered,
      findingsNote,
      found,
      plain,
      plural,
      short,
      stopped: computed(() => props.shown.background_stopped.join("; ")),
      sum,
      tests,
      testsNote,
      took,
      verdict,
      worse,
      passed: computed(() => checks.value.filter((check) => check.ok).length),
      failures: computed(() => (void props.log.version, props.log.failures.slice())),
    };
  },
};

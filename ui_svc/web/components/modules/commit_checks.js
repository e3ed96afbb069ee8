// The checks of each commit of an epic in one table, which shows where a check began to fail.
import { computed } from "vue";
import { short } from "./format.js";
import { Icon } from "./icons.js";
import { plain } from "./text.js";

export const CommitChecks = {
  props: ["tasks", "attempt"],
  components: { Icon },
  template: /* HTML */ ` <template v-if="commits.length > 1">
    <h3>Checks of each commit</h3>
    <div class="commit-checks" tabindex="0" role="group" aria-label="Checks of each commit">
      <table class="figures">
        <thead>
          <tr>
            <th>Commit</th>
            <th>Task</th>
            <th v-for="name in names" :key="name">{{ plain(name) }}</th>
            <th class="right">Tests</th>
            <th class="right">Coverage</th>
          </tr>
        </thead>
        <tbody>
          <tr
            v-for="each in commits"
            :key="each.name"
            :class="{ 'is-open': attempt.startsWith(each.name + '/') }"
          >
            <td><code>{{ short(each.commit) }}</code></td>
            <th scope="row">{{ plain(each.title) }}</th>
            <td v-for="name in names" :key="name">
              <span
                v-if="each.checks.has(name)"
                :class="each.checks.get(name).ok ? 'tone-ok-text' : 'tone-bad-text'"
                ><Icon :name="each.checks.get(name).ok ? 'check' : 'cross'" /><span class="visually-hidden"
                  >{{ each.checks.get(name).ok ? "passed" : "failed" }}</span
                ></span
              ><span v-else class="quiet">–</span>
            </td>
            <td class="num right">{{ each.tests ?? "–" }}</td>
            <td class="num right">{{ each.coverage ?? "–" }}</td>
          </tr>
        </tbody>
      </table>
    </div>
  </template>`,
  setup(props) {
    const commits = computed(() =>
      props.tasks
        .filter((task) => task.commit && task.attempt)
        .map((task) => {
          const { checks } = task.attempt;
          const counted = checks.filter((check) => check.tests);
          const covered = checks.filter((check) => check.coverage?.valid);
          const sum = (list, kind, part) => list.reduce((all, check) => all + check[kind][part], 0);
          const failed = sum(counted, "tests", "failed");
          return {
            ...task,
            checks: new Map(checks.map((check) => [check.name, check])),
            tests: counted.length
              ? `${sum(counted, "tests", "passed")} passed${failed ? `, ${failed} failed` : ""}`
              : null,
            coverage: covered.length
              ? `${((100 * sum(covered, "coverage", "covered")) / sum(covered, "coverage", "valid")).toFixed(1)} %`
              : null,
          };
        }),
    );
    const names = computed(() => [...new Set(commits.value.flatMap((each) => [...each.checks.keys()]))]);
    return { commits, names, plain, short };
  },
};

// The epic's tasks, each with its attempts.
import { computed, reactive, ref } from "vue";
import { post } from "./api.js";
import { AttemptDiff } from "./attempt_diff.js";
import { absolute, costOf, short, took } from "./format.js";
import { Icon } from "./icons.js";
import { Ask, Elapsed, Status } from "./parts.js";
import { ATTEMPT, status, TASK } from "./status.js";
import { toast } from "./toasts.js";

export const History = {
  props: ["store", "attempt", "epic", "details"],
  emits: ["open"],
  components: { Ask, AttemptDiff, Elapsed, Icon, Status },
  template: /* HTML */ ` <div class="scroll" tabindex="0" aria-label="Tasks of this epic">
    <p v-if="details.problem" class="note is-bad" role="alert">{{ details.problem }}</p>
    <ol class="history">
      <li
        v-for="task in tasks"
        :key="task.name"
        class="history-task"
        :class="['tone-' + status(TASK, task.state).tone, { 'is-current': isCurrent(task) }]"
      >
        <div class="history-head">
          <Status :of="status(TASK, task.state)" />
          <h3>{{ task.title }}</h3>
          <span class="num quiet">Task {{ task.position }}/{{ tasks.length }}</span>
          <span class="grow"></span>
          <code v-if="task.commit" title="The accepted commit">{{ short(task.commit) }}</code>
          <Ask
            v-if="canGoBack(task)"
            label="Retry from here"
            icon="retry"
            :question="question(task)"
            yes="Retry from here"
            pendingLabel="Starting…"
            :pending="retrying === task.name"
            :act="() => retryFromHere(task)"
          />
          <button
            v-if="canResume(task)"
            type="button"
            class="button small"
            :disabled="retrying === task.name"
            title="Continue the agent's last session, with its files"
            @click="resume(task)"
          >
            Resume
          </button>
          <button
            v-if="canRetry(task)"
            type="button"
            class="button small"
            :disabled="retrying === task.name"
            @click="retry(task)"
          >
            <Icon name="retry" />{{ retrying === task.name ? "Starting…" : "Retry" }}
          </button>
        </div>
        <p v-if="task.reason" class="history-reason">{{ task.reason }}</p>
        <details v-if="task.prompt" class="history-prompt">
          <summary>Prompt</summary>
          <pre tabindex="0">{{ task.prompt }}</pre>
        </details>
        <table v-if="attemptsOf(task).length" class="attempts">
          <thead>
            <tr>
              <th>Attempt</th>
              <th>Outcome</th>
              <th>Duration</th>
              <th>Cost</th>
              <th>Change</th>
              <th>Commit</th>
              <th><span class="visually-hidden">Open</span></th>
            </tr>
          </thead>
          <tbody>
            <tr
              v-for="each in attemptsOf(task)"
              :key="each.name"
              :class="{ 'is-open': each.name === attempt }"
            >
              <td class="num">{{ numberOf(each) }}</td>
              <td>
                <Status :of="status(ATTEMPT, each.state)" />
                <div v-if="each.reason" class="quiet">{{ each.reason }}</div>
              </td>
              <td class="num" :title="absolute(each.started)">
                <template v-if="each.ended">{{ took((each.ended - each.started) / 1000) }}</template
                ><Elapsed v-else :from="each.started" label="Started" />
              </td>
              <td class="num">{{ costOf(each.usage) || "–" }}</td>
              <td class="num diff">
                <button
                  v-if="each.diff"
                  type="button"
                  class="button small ghost attempt-change"
                  :aria-expanded="unfolded.has(each.name)"
                  :aria-label="changeLabel(each)"
                  @click="unfold(each)"
                >
                  <ins>+{{ each.diff.insertions }}</ins> <del>−{{ each.diff.deletions }}</del></button
                ><template v-else>–</template>
              </td>
              <td>
                <code v-if="each.commit">{{ short(each.commit) }}</code
                ><code v-else-if="each.kept_ref" :title="'Its work is saved at ' + each.kept_ref">kept</code
                ><template v-else>–</template>
              </td>
              <td>
                <span v-if="each.name === attempt" class="quiet">Shown</span
                ><button v-else type="button" class="button small ghost" @click="$emit('open', each.name)">
                  Open
                </button>
              </td>
            </tr>
          </tbody>
        </table>
        <p v-else class="quiet history-none">
          {{ task.state === "pending" ? "Not started yet" : "No attempt was made" }}
        </p>
        <section
          v-for="each in attemptsOf(task).filter((one) => unfolded.has(one.name))"
          :key="each.name"
          class="attempt-diff"
        >
          <h4>Change of attempt {{ numberOf(each) }}</h4>
          <AttemptDiff :attempt="each.name" />
        </section>
      </li>
    </ol>
  </div>`,
  setup(props) {
    const retrying = ref("");
    const unfolded = reactive(new Set());
    const unfold = ({ name }) => unfolded.delete(name) || unfolded.add(name);
    // The board's tasks are live; the details add the prompt.
    const tasks = computed(() => {
      if (!props.epic) return [];
      const whole = new Map(props.details.tasks.map((task) => [task.name, task]));
      return props.store.tasksOf(props.epic.name).map((task) => ({ ...whole.get(task.name), ...task }));
    });
    function attemptsOf(task) {
      const listed = props.details.attempts.filter((each) => each.name.startsWith(`${task.name}/`));
      const known = new Set(listed.map((each) => each.name));
      return task.attempt && !known.has(task.attempt.name)
        ? [...listed, task.attempt]
        : listed.map((each) => (each.name === task.attempt?.name ? task.attempt : each));
    }
    const isCurrent = (task) => props.attempt.startsWith(`${task.name}/`);
    const changeLabel = (each) =>
      `Change of attempt ${numberOf(each)}: +${each.diff.insertions} −${each.diff.deletions}`;
    const numberOf = (each) => each.name.slice(each.name.lastIndexOf("/") + 1);
    const canRetry = (task) => ["failed", "skipped"].includes(task.state);
    // Only if the agent has a session that it may still know.
    const canResume = (task) => canRetry(task) && !!task.attempt?.agent_session;
    // The same rule as the scheduler's, which decides.
    const canGoBack = (task) =>
      task.state === "accepted" &&
      !props.epic.merge_commit &&
      !tasks.value.some((each) => ["running", "waiting"].includes(each.state));
    const since = (task) =>
      tasks.value.filter((each) => each.state === "accepted" && each.attempt?.ended >= task.attempt?.ended);
    function question(task) {
      const later = since(task).length - 1;
      return `Set aside its commit${later > 0 ? ` and ${later} after it` : ""}? They stay under refs/heddle/rewound.`;
    }
    const retry = (task) => again(task, "retry", `${task.title} gets another attempt`);
    const resume = (task) => again(task, "resume", `${task.title} continues its last session`);
    const retryFromHere = (task) => again(task, "retryFromHere", `The epic is reset to before ${task.title}`);
    async function again(task, how, said) {
      retrying.value = task.name;
      try {
        await post(`${task.name}:${how}`);
        toast(said);
      } catch (problem) {
        toast(problem.message, "bad");
      } finally {
        retrying.value = "";
      }
    }
    return {
      absolute,
      ATTEMPT,
      attemptsOf,
      canGoBack,
      canResume,
      canRetry,
      changeLabel,
      costOf,
      isCurrent,
      numberOf,
      question,
      resume,
      retry,
      retryFromHere,
      retrying,
      short,
      status,
      TASK,
      tasks,
      took,
      unfold,
      unfolded,
    };
  },
};

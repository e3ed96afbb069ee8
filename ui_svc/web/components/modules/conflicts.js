// The conflict forecast, and the merge queue with the reason why each epic waits.
import { computed, onMounted, ref, shallowRef, watch } from "vue";
import { get, post } from "./api.js";
import { Heatmap } from "./heatmap.js";
import { Icon } from "./icons.js";
import { Ago, Empty, Status } from "./parts.js";
import { stateOf } from "./lane_facts.js";
import { MERGE, status } from "./status.js";
import { plural, short } from "./format.js";
import { toast } from "./toasts.js";

// Epics that need the operator or merge next come first.
const STAGES = [
  "conflicted",
  "awaiting",
  "resolving",
  "merging",
  "queued",
  "unmerged",
  "merged",
  "working",
  "blocked",
];

export const Conflicts = {
  props: ["store"],
  components: { Ago, Empty, Heatmap, Icon, Status },
  template: /* HTML */ ` <div class="conflicts">
    <div v-if="!found && !problem" class="skeleton-lines" role="status" aria-label="Loading the conflicts">
      <i></i><i></i><i></i>
    </div>
    <p v-if="problem" class="note is-bad" role="alert">{{ problem }}</p>
    <template v-if="found">
      <section aria-labelledby="queue-title">
        <h2 id="queue-title">
          Merge queue<span class="quiet radar-age">into <code>{{ run.branch }}</code>, one at a time</span>
        </h2>
        <ol class="queue">
          <li v-for="each in queue" :key="each.key" :class="'tone-' + each.state.tone">
            <Status :of="each.state" /><span class="queue-name"
              ><b>{{ each.title }}</b
              ><span v-if="each.waits_for" class="quiet">waits for {{ each.waits_for }}</span
              ><span v-else-if="each.commit" class="quiet"
                >as <code>{{ short(each.commit) }}</code></span
              ></span
            >
            <span v-if="each.target !== run.branch" class="quiet queue-target"
              >into <code>{{ each.target }}</code></span
            ><span v-else></span>
            <span v-if="['conflicted', 'awaiting'].includes(each.stage) && each.epic" class="queue-acts">
              <button
                type="button"
                class="button small"
                :disabled="asked.has(each.epic)"
                @click="ask(each, 'merge', 'is merged')"
              >
                <Icon name="retry" />{{ asked.has(each.epic) ? "Requested…" : each.stage === "awaiting" ?
                "Merge" : "Merge again" }}
              </button>
              <button
                v-if="each.conflict"
                type="button"
                class="button small ghost"
                :disabled="asked.has(each.epic)"
                @click="ask(each, 'resolve', 'is resolved by an agent')"
              >
                Resolve with an agent
              </button>
              <button
                type="button"
                class="button small ghost"
                :disabled="asked.has(each.epic)"
                @click="ask(each, 'drop', 'stays unmerged')"
              >
                Drop
              </button>
            </span>
            <details v-if="each.conflict" class="queue-why">
              <summary>Conflicting changes, and how to resolve them by hand</summary>
              <template v-for="hunk in each.conflict.hunks" :key="hunk.file + hunk.line"
                ><p>
                  <code>{{ hunk.file }}<template v-if="hunk.line">:{{ hunk.line }}</template></code>
                </p>
                <pre>{{ hunk.text }}</pre>
              </template>
              <template v-for="check in each.conflict.checks" :key="check.name"
                ><p>Check <b>{{ check.name }}</b></p>
                <pre>{{ check.output }}</pre>
              </template>
              <pre>{{ each.conflict.advice }}</pre>
            </details>
          </li>
        </ol>
      </section>
      <section aria-labelledby="radar-title">
        <h2 id="radar-title">
          Conflict forecast<span v-if="found.looked" class="quiet radar-age"
            >updated <Ago :time="found.looked" />, after each accepted task</span
          >
        </h2>
        <Empty v-if="!found.looked" icon="grid" title="No forecast yet"
          ><p>
            After each accepted task Heddle test-merges every pair of epics. Expected conflicts are listed
            here.
          </p></Empty
        >
        <template v-else>
          <p class="radar-word" :class="found.conflicts.length ? 'tone-bad-text' : 'tone-ok-text'">
            <Icon :name="found.conflicts.length ? 'merge' : 'check'" />{{ found.conflicts.length ?
            plural(found.conflicts.length, "pair") + " will conflict" : "No two epics conflict" }}
          </p>
          <Heatmap :rows="rows" :columns="columns" :cells="cells" :picked="picked" @pick="picked = $event" />
          <ul v-if="pairs.length" class="radar-list">
            <li v-for="each in pairs" :key="each.key">
              <p>
                <Icon name="merge" /><b>{{ each.one }}</b> and <b>{{ each.other }}</b
                ><span class="quiet"
                  >{{ plural(each.files.length, "file") }}, since <Ago :time="each.since" /><template
                    v-if="each.first"
                  >
                    (with {{ each.first }})</template
                  ></span
                >
              </p>
              <code v-for="file in each.files.slice(0, 20)" :key="file">{{ file }}</code>
            </li>
          </ul>
          <template v-if="outside.length"
            ><h3>Changes outside the planned paths</h3>
            <ul class="radar-list">
              <li v-for="each in outside" :key="each.epic">
                <p>
                  <Icon name="edit" /><b>{{ title(each.epic) }}</b
                  ><span class="quiet">{{ plural(each.outside.length, "path") }}</span>
                </p>
                <code v-for="file in each.outside.slice(0, 20)" :key="file">{{ file }}</code>
              </li>
            </ul></template
          >
        </template>
      </section>
    </template>
  </div>`,
  setup(props) {
    const found = shallowRef(null);
    const problem = ref("");
    const picked = ref("");
    const asked = ref(new Set());
    const run = computed(() => props.store.run.value);
    const epics = computed(() => [...props.store.epics.values()].sort((a, b) => a.index - b.index));
    const title = (key) => props.store.epics.get(`${run.value.name}/epics/${key}`)?.title || key;

    // While its tasks run, an epic has its state of the board.
    function entry(each) {
      const epic = props.store.epics.get(`${run.value.name}/epics/${each.epic}`);
      const missing = epic?.depends_on
        .filter((key) => !props.store.epics.get(`${run.value.name}/epics/${key}`)?.merge_commit)
        .map(title);
      return {
        ...each,
        key: each.epic || "run",
        title: each.epic ? title(each.epic) : "The whole run",
        state: epic && each.stage === "working" ? stateOf(props.store, epic) : status(MERGE, each.stage),
        target: each.target_branch,
        waits_for:
          each.stage === "blocked" && missing?.length
            ? `the merge of ${missing.join(" and ")}`
            : each.waits_for,
      };
    }

    let reading = false;
    let again = false;
    async function read() {
      if (reading) return void (again = true);
      reading = true;
      try {
        do {
          again = false;
          found.value = await get(`${run.value.name}/conflicts`);
          problem.value = "";
        } while (again);
      } catch (failure) {
        const about = found.value ? "This page may be out of date." : "The conflicts cannot be read.";
        problem.value = `${about} ${failure.message}`;
      } finally {
        reading = false;
      }
    }
    // Forecast and queue change only with the run's log.
    watch(() => run.value.sequence, read);
    onMounted(read);

    const OTHERS = { run: "what is merged", upstream: "upstream" };
    const other = (each) => (each.side === "epic" ? each.with_epic : each.side);
    const rows = computed(() =>
      epics.value.map((epic) => ({ key: epic.key, title: epic.title || epic.key })),
    );
    const columns = computed(() => {
      const sides = Object.keys(OTHERS).filter((side) =>
        found.value.conflicts.some((each) => each.side === side),
      );
      return [
        ...rows.value,
        ...sides.map((side) => ({
          key: side,
          title: side === "upstream" ? found.value.upstream || "upstream" : OTHERS[side],
        })),
      ];
    });
    const cells = computed(() => {
      const all = new Map();
      const note = (row, column, files) => all.set(`${row} ${column}`, files.length);
      for (const each of found.value.conflicts) {
        note(each.epic, other(each), each.files);
        if (each.side === "epic") note(each.with_epic, each.epic, each.files);
      }
      return all;
    });
    const pairs = computed(() =>
      found.value.conflicts
        .map((each) => ({
          ...each,
          key: `${each.epic} ${other(each)}`,
          one: title(each.epic),
          other: columns.value.find((column) => column.key === other(each))?.title ?? other(each),
          first: props.store.tasks.get(each.first_task)?.title,
        }))
        .filter(
          (each) =>
            !picked.value ||
            picked.value === each.key ||
            picked.value === each.key.split(" ").reverse().join(" "),
        ),
    );
    async function ask(each, what, said) {
      asked.value = new Set([...asked.value, each.epic]);
      try {
        await post(`${run.value.name}/epics/${each.epic}:${what}`);
        toast(`${each.title} ${said}`);
      } catch (failure) {
        toast(failure.message, "bad");
      } finally {
        asked.value = new Set([...asked.value].filter((key) => key !== each.epic));
      }
    }
    return {
      ask,
      asked,
      cells,
      columns,
      found,
      picked,
      plural,
      problem,
      rows,
      run,
      short,
      title,
      pairs,
      outside: computed(() => found.value.footprints.filter((each) => each.outside.length)),
      queue: computed(() =>
        [...found.value.queue].sort((a, b) => STAGES.indexOf(a.stage) - STAGES.indexOf(b.stage)).map(entry),
      ),
    };
  },
};

// The changes of the whole run, an epic, or one task.
import { computed, nextTick, onUnmounted, provide, ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { Diff, readFiles } from "./diff.js";
import { plural, short } from "./format.js";
import { Icon } from "./icons.js";
import { createLineNotes } from "./line_notes.js";
import { Empty } from "./parts.js";
import { SendNotes } from "./send_notes.js";
import { plain } from "./text.js";

const KEPT = "heddle-diff-view";

export const Changes = {
  props: ["store"],
  components: { Diff, Empty, Icon, SendNotes },
  template: /* HTML */ ` <div class="changes">
    <div class="changes-tools">
      <label class="changes-scope"
        ><span class="visually-hidden">Changes of</span
        ><select v-model="of">
          <option value="">Whole run (merged changes)</option>
          <optgroup v-for="epic in epics" :key="epic.name" :label="epic.title">
            <option :value="epic.name">{{ epic.title }} (all tasks)</option>
            <option v-for="task in epic.tasks" :key="task.value" :value="task.value">
              {{ task.title }}{{ task.word }}
            </option>
          </optgroup>
        </select></label
      >
      <span v-if="change && files.length" class="num"
        >{{ plural(files.length, "file") }},
        <span class="diff"><ins>+{{ added }}</ins> <del>−{{ removed }}</del></span></span
      >
      <span class="grow"></span>
      <div v-if="wide" class="choice" role="group" aria-label="View">
        <button
          v-for="each in VIEWS"
          :key="each.key"
          type="button"
          class="chip"
          :aria-pressed="view === each.key"
          @click="view = each.key"
        >
          {{ each.word }}
        </button>
      </div>
    </div>
    <SendNotes :notes="notes" :epics="epics" :epic="epicOf" />
    <p v-if="outdated" role="status" class="note changes-news">
      <span>Newer changes are available.</span
      ><button type="button" class="button small" @click="read"><Icon name="retry" />Reload</button>
    </p>
    <p v-if="problem" class="note is-bad" role="alert">
      {{ problem }} <button type="button" class="button small" @click="read">Try again</button>
    </p>
    <div v-else-if="!change" class="skeleton-lines" role="status" aria-label="Loading the change">
      <i></i><i></i><i></i>
    </div>
    <Empty v-else-if="!files.length" icon="branch" title="No changes yet"
      ><p>
        <template v-if="of">Accepted changes appear here.</template>
        <template v-else>
          Epics appear here when they are merged. Choose one above to see its accepted changes so far.
        </template>
      </p></Empty
    >
    <div v-else class="changes-body">
      <nav class="changes-files" aria-label="Files">
        <ol>
          <li v-for="file in files" :key="file.name">
            <button type="button" :title="file.name" @click="show(file)">
              <span class="changes-name">{{ plain(file.name) }}</span
              ><span class="num diff"><ins>+{{ file.added }}</ins> <del>−{{ file.removed }}</del></span>
            </button>
          </li>
        </ol>
      </nav>
      <div class="changes-diff" ref="box">
        <Diff :key="of" :files="files" :truncated="change.truncated" :view="wide ? view : 'unified'" />
      </div>
    </div>
  </div>`,
  setup(props) {
    const run = props.store.name;
    const VIEWS = [
      { key: "unified", word: "Unified" },
      { key: "split", word: "Side by side" },
    ];
    const box = ref(null);
    const asked = new URLSearchParams(location.search).get("of");
    const of = ref(asked ? `${run}/${asked}` : "");
    const view = ref(localStorage.getItem(KEPT) === "split" ? "split" : "unified");
    const change = shallowRef(null);
    const problem = ref("");
    const outdated = ref(false);
    const notes = createLineNotes(run, of);
    provide("lineNotes", notes);

    const epics = computed(() =>
      [...props.store.epics.values()]
        .sort((a, b) => a.index - b.index)
        .map((epic) => ({
          ...epic,
          tasks: props.store
            .tasksOf(epic.name)
            .filter((task) => task.attempt?.diff)
            .map((task) => ({
              value: task.attempt.name,
              title: task.title,
              word: task.commit ? ` (${short(task.commit)})` : " (not accepted)",
            })),
        })),
    );
    const files = computed(() => change.value?.files ?? []);
    const sum = (kind) => files.value.reduce((all, file) => all + file[kind], 0);

    let turn = 0;
    async function read() {
      const mine = ++turn;
      problem.value = "";
      outdated.value = false;
      try {
        const { text, truncated } = await get(`${of.value || run}/diff`);
        if (mine === turn) change.value = { files: readFiles(text), truncated };
      } catch (error) {
        if (mine === turn) problem.value = error.message;
      }
    }
    watch(of, (name) => {
      change.value = null;
      const query = name ? `?of=${name.slice(run.length + 1)}` : "";
      history.replaceState(history.state, "", location.pathname + query);
      read();
    });
    watch(view, (kept) => localStorage.setItem(KEPT, kept));

    // A newer change is offered, to leave the view of a reader as it is; an empty page loads it at once.
    const commits = computed(() => {
      const all = [...props.store.epics.values()];
      if (!of.value) return all.map((epic) => epic.merge_commit).join();
      return all
        .filter((epic) => of.value.startsWith(epic.name))
        .map((epic) => epic.head_commit)
        .join();
    });
    watch([of, commits], ([name], [before]) => {
      if (name !== before) return;
      if (files.value.length) outdated.value = true;
      else read();
    });

    async function show(file) {
      const place = box.value.querySelector(`[data-file="${CSS.escape(file.name)}"]`);
      place.open = true;
      await nextTick();
      place.scrollIntoView({
        block: "start",
        behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
      });
      place.querySelector("summary").focus({ preventScroll: true });
    }

    // Two columns need a wide window.
    const room = matchMedia("(min-width: 900px)");
    const wide = ref(room.matches);
    const onRoom = () => (wide.value = room.matches);
    room.addEventListener("change", onRoom);
    onUnmounted(() => room.removeEventListener("change", onRoom));

    read();
    return {
      added: computed(() => sum("added")),
      box,
      change,
      epics,
      epicOf: computed(() => /^.+\/epics\/[^/]+/.exec(of.value)?.[0] ?? ""),
      files,
      notes,
      of,
      outdated,
      plain,
      plural,
      problem,
      read,
      removed: computed(() => sum("removed")),
      show,
      view,
      VIEWS,
      wide,
    };
  },
};

// The list of keyboard shortcuts, opened by "?".
import { nextTick, onMounted, onUnmounted, ref } from "vue";
import { offer } from "./commands.js";
import { Icon } from "./icons.js";

const KEYS = [
  { keys: ["j", "k"], what: "Next and previous card; in a session the next and previous running agent" },
  { keys: ["Enter"], what: "Open the session of the card" },
  { keys: ["←", "→"], what: "In a session: previous and next running agent" },
  { keys: ["a", "d", "m"], what: "In a session with a question: allow, deny, answer with a message" },
  { keys: ["Esc"], what: "Close the open dialog or session" },
  { keys: ["a"], what: "Waiting for you, in all runs" },
  { keys: ["/"], what: "Search: runs, the epics of a board, a log" },
  { keys: ["c"], what: "On a board: compact rows, or cards" },
  { keys: ["1", "…", "5"], what: "The views of a run: board, timeline, changes, conflicts, report" },
  { keys: ["n"], what: "New run, on the list of runs" },
  { keys: ["Ctrl-K"], what: "Commands: open a run or session, or run a command" },
  { keys: ["?"], what: "Show this list" },
];

export const Keys = {
  components: { Icon },
  template: /* HTML */ ` <button
      type="button"
      class="icon-button keys-button"
      aria-label="Keyboard shortcuts"
      title="Keyboard shortcuts (?)"
      @click="open"
    >
      <Icon name="keyboard" />
    </button>
    <dialog
      v-if="shown"
      ref="dialog"
      class="modal keys"
      aria-labelledby="keys-title"
      @click="onClick"
      @close="shown = false"
    >
      <h2 id="keys-title">Keyboard</h2>
      <dl>
        <template v-for="each in KEYS" :key="each.what"
          ><dt><kbd v-for="key in each.keys" :key="key">{{ key }}</kbd></dt>
          <dd>{{ each.what }}</dd></template
        >
      </dl>
      <form method="dialog"><button class="button">Close</button></form>
    </dialog>`,
  setup() {
    const dialog = ref(null);
    const shown = ref(false);
    async function open() {
      if (shown.value) return;
      shown.value = true;
      await nextTick();
      dialog.value.showModal();
    }
    function onKey(event) {
      if (event.key === "?" && !event.target.closest?.("input, textarea, select")) open();
    }
    offer(() => [{ word: "Keyboard shortcuts", hint: "Help", icon: "keyboard", run: open }]);
    onMounted(() => document.addEventListener("keydown", onKey));
    onUnmounted(() => document.removeEventListener("keydown", onKey));
    return {
      dialog,
      KEYS,
      open,
      shown,
      onClick: (event) => event.target === dialog.value && dialog.value.close(),
    };
  },
};

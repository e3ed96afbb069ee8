// The command palette: every command and page, by name.
import { computed, nextTick, onMounted, onUnmounted, ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { matching, offered } from "./commands.js";
import { Icon } from "./icons.js";
import { href } from "./paths.js";
import { RUN, status } from "./status.js";

const MOST_SHOWN = 60;

export const Palette = {
  components: { Icon },
  template: /* HTML */ ` <button
      type="button"
      class="icon-button keys-button"
      aria-label="Commands"
      title="Commands (Ctrl-K)"
      @click="open"
    >
      <Icon name="search" />
    </button>
    <dialog
      v-if="shown"
      ref="dialog"
      class="modal palette"
      aria-label="Commands"
      @click="onClick"
      @close="onClose"
      @keydown="onKey"
    >
      <div class="palette-field">
        <Icon name="search" /><input
          ref="input"
          v-model="query"
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          :aria-activedescendant="found.length ? 'command-' + place : undefined"
          aria-label="Command, run or session"
          placeholder="Open a run or session, or run a command"
          autocomplete="off"
          spellcheck="false"
        />
      </div>
      <ul id="palette-list" ref="list" role="listbox" aria-label="Commands" class="palette-list">
        <li
          v-for="(command, at) in found"
          :id="'command-' + at"
          :key="at"
          role="option"
          :aria-selected="at === place"
          @click="choose(command)"
          @mousemove="place = at"
        >
          <Icon :name="command.icon" /><span class="palette-word">{{ command.word }}</span
          ><span class="quiet palette-hint">{{ command.hint }}</span>
        </li>
      </ul>
      <p v-if="!found.length" class="quiet palette-none">No matches.</p>
    </dialog>`,
  setup() {
    const dialog = ref(null);
    const input = ref(null);
    const list = ref(null);
    const shown = ref(false);
    const query = ref("");
    const place = ref(0);
    const runs = shallowRef([]);
    const commands = computed(() => [
      ...offered(),
      { word: "All runs", hint: "Go to", icon: "branch", run: () => location.assign(href("/")) },
      { word: "New run", hint: "Start", icon: "plus", run: () => location.assign(href("/new")) },
      {
        word: "Costs",
        hint: "Of all projects and runs",
        icon: "coin",
        run: () => location.assign(href("/costs")),
      },
      ...runs.value.map((run) => ({
        word: run.title,
        hint: `${status(RUN, run.state).word} · ${run.name.slice(5)}`,
        icon: "branch",
        run: () => location.assign(href(`/${run.name}`)),
      })),
    ]);
    const found = computed(() => matching(commands.value, query.value).slice(0, MOST_SHOWN));
    watch(query, () => (place.value = 0));

    async function open() {
      if (shown.value) return;
      [query.value, place.value, shown.value] = ["", 0, true];
      await nextTick();
      dialog.value.showModal();
      input.value.focus();
      // The palette works without the other runs.
      const page = await get("runs").catch(() => ({ runs: [] }));
      runs.value = page.runs;
    }
    async function choose(command) {
      dialog.value.close();
      await nextTick();
      command.run();
    }
    async function move(by) {
      place.value = Math.max(0, Math.min(found.value.length - 1, place.value + by));
      await nextTick();
      list.value.children[place.value]?.scrollIntoView({ block: "nearest" });
    }
    function onKey(event) {
      // These keys do not reach the page below.
      event.stopPropagation();
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
      if (by) move(by);
      else if (event.key === "Enter" && found.value[place.value]) choose(found.value[place.value]);
      else return;
      event.preventDefault();
    }
    function onPageKey(event) {
      if (
        event.key.toLowerCase() !== "k" ||
        !(event.ctrlKey || event.metaKey) ||
        event.altKey ||
        event.shiftKey
      )
        return;
      event.preventDefault();
      event.stopPropagation();
      open();
    }
    // Before every other listener: the keys belong to the palette wherever the focus is.
    onMounted(() => document.addEventListener("keydown", onPageKey, true));
    onUnmounted(() => document.removeEventListener("keydown", onPageKey, true));
    return {
      choose,
      dialog,
      found,
      input,
      list,
      onKey,
      open,
      place,
      query,
      shown,
      onClick: (event) => event.target === dialog.value && dialog.value.close(),
      onClose: (event) => event.target === dialog.value && (shown.value = false),
    };
  },
};

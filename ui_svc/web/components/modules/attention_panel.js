// The count in the bar, and the list of items that wait for the operator.
import { computed, nextTick, onMounted, onUnmounted, ref } from "vue";
import { Item } from "./attention_item.js";
import { useAttention } from "./attention.js";
import { offer } from "./commands.js";
import { plural } from "./format.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { toast } from "./toasts.js";

// A key presses this button of the item that has the focus.
const ANSWERS = { a: "allow", d: "deny", m: "message", r: "retry", b: "budget", x: "dismiss" };

export const Attention = {
  components: { Empty, Icon, Item },
  template: /* HTML */ ` <button
      type="button"
      class="attention-button"
      :class="{ 'has-some': count, 'has-question': questions }"
      :aria-label="label"
      :title="label + ' (a)'"
      @click="open"
    >
      <Icon name="hand" /><b v-if="count" class="num">{{ count }}</b>
    </button>
    <dialog
      v-if="shown"
      ref="dialog"
      class="modal attention"
      aria-labelledby="attention-title"
      @click="onClick"
      @close="onClose"
      @keydown="onKey"
    >
      <header class="attention-head">
        <h2 id="attention-title">Waiting for you<span v-if="count" class="badge num">{{ count }}</span></h2>
        <span class="grow"></span>
        <button v-if="mayAsk" type="button" class="button small ghost" @click="askToNotify">
          Notify me when this tab is hidden
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Close"
          title="Close (Esc)"
          @click="dialog.close()"
        >
          <Icon name="cross" />
        </button>
      </header>
      <div class="attention-list" ref="list">
        <template v-for="group in groups" :key="group.word"
          ><h3 class="attention-group">{{ group.word }} <b class="num">{{ group.items.length }}</b></h3>
          <ol>
            <Item v-for="item in group.items" :key="item.key" :item="item" :attention="attention" /></ol
        ></template>
        <Empty v-if="!count && attention.status.ready" icon="check" title="Nothing waits for you"
          ><p>
            Questions from agents, used-up budgets, refused log-ins, conflicts and failures of the last day
            appear here, for all runs.
          </p></Empty
        >
        <div v-else-if="!count" class="skeleton-lines" role="status" aria-label="Loading">
          <i></i><i></i><i></i>
        </div>
      </div>
      <footer v-if="count" class="attention-keys quiet">
        <kbd>j</kbd><kbd>k</kbd> move <kbd>a</kbd> allow <kbd>d</kbd> deny <kbd>m</kbd> message
        <kbd>r</kbd> retry <kbd>b</kbd> budget <kbd>x</kbd> dismiss <kbd>Enter</kbd> open
      </footer>
    </dialog>`,
  setup() {
    const attention = useAttention();
    const dialog = ref(null);
    const list = ref(null);
    const shown = ref(false);
    const mayAsk = ref("Notification" in window && Notification.permission === "default");
    const items = attention.items;
    const count = computed(() => items.value.length);
    const questions = computed(() => items.value.filter((item) => item.waits).length);
    const groups = computed(() =>
      [
        { word: "Needs your answer", items: items.value.filter((item) => item.waits) },
        { word: "Failed in the last day", items: items.value.filter((item) => !item.waits) },
      ].filter((group) => group.items.length),
    );
    const label = computed(() =>
      count.value ? `${plural(count.value, "item")} waiting for you` : "Nothing waits for you",
    );

    async function open() {
      if (shown.value) return;
      shown.value = true;
      await nextTick();
      dialog.value.showModal();
      focus(0);
    }
    const rows = () => [...(list.value?.querySelectorAll(".attention-item") ?? [])];
    function focus(place) {
      const all = rows();
      all[Math.max(0, Math.min(all.length - 1, place))]?.focus();
    }
    function onKey(event) {
      // These keys do not reach the page below.
      event.stopPropagation();
      if (event.target.matches("input") || event.metaKey || event.ctrlKey || event.altKey) return;
      const row = event.target.closest(".attention-item");
      const place = rows().indexOf(row);
      const move = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
      if (move) focus(place + move);
      else if (event.key === "Enter" && event.target === row) row.querySelector("a").click();
      else if (row && ANSWERS[event.key]) {
        row.querySelector(`[data-answer="${ANSWERS[event.key]}"]`)?.click();
        // The focus stays in the list when the item is removed.
        if (event.key === "x") nextTick(() => focus(place));
      } else return;
      event.preventDefault();
    }
    function onPageKey(event) {
      if (event.key !== "a" || event.metaKey || event.ctrlKey || event.altKey) return;
      if (!event.target.closest?.("input, textarea, select, [contenteditable]")) open();
    }
    async function askToNotify() {
      const answer = await Notification.requestPermission();
      mayAsk.value = false;
      toast(
        answer === "granted"
          ? "You are notified of questions while this tab is hidden"
          : "The browser blocks notifications from this page",
      );
    }
    offer(() => [{ word: "Waiting for you", hint: label.value, icon: "hand", run: open }]);
    onMounted(() => document.addEventListener("keydown", onPageKey));
    onUnmounted(() => document.removeEventListener("keydown", onPageKey));
    return {
      askToNotify,
      attention,
      count,
      dialog,
      groups,
      label,
      list,
      mayAsk,
      onKey,
      open,
      questions,
      shown,
      onClick: (event) => event.target === dialog.value && dialog.value.close(),
      onClose: (event) => event.target === dialog.value && (shown.value = false),
    };
  },
};

// The dialog over the board if the address names a task or attempt that does not exist.
import { computed, onMounted, ref } from "vue";
import { plural } from "./format.js";
import { Icon } from "./icons.js";

export const MissingSession = {
  props: ["store", "session"],
  emits: ["open", "close"],
  components: { Icon },
  template: /* HTML */ ` <dialog
    ref="dialog"
    class="modal missing"
    aria-labelledby="missing-title"
    @cancel.prevent="$emit('close')"
    @click="onBackdrop"
  >
    <div class="empty">
      <Icon :name="said.icon" />
      <h2 id="missing-title" class="empty-title">{{ said.title }}</h2>
      <p>{{ said.text }}</p>
      <code class="missing-name">{{ session }}</code>
      <div class="missing-buttons">
        <button v-if="newest" type="button" class="button primary" @click="$emit('open', newest)">
          Open the newest attempt
        </button>
        <button type="button" class="button" :class="{ primary: !newest }" @click="$emit('close')">
          Show the board
        </button>
      </div>
    </div>
  </dialog>`,
  setup(props, { emit }) {
    const dialog = ref(null);
    const task = computed(() => props.store.tasks.get(props.session.replace(/\/attempts\/[^/]*$/, "")));
    const newest = computed(() => task.value?.attempt?.name);
    const said = computed(() => {
      if (!task.value) {
        return {
          icon: "search",
          title: "Task not found",
          text: "The address may be mistyped, or belong to another run. The board shows every task of this run.",
        };
      }
      if (!newest.value) {
        return {
          icon: "clock",
          title: `“${task.value.title}” has not started yet`,
          text: "Its session opens here when an agent starts it.",
        };
      }
      return {
        icon: "search",
        title: "Attempt not found",
        text: `“${task.value.title}” had ${plural(task.value.attempts, "attempt")} so far.`,
      };
    });
    onMounted(() => dialog.value.showModal());
    return { dialog, newest, said, onBackdrop: (event) => event.target === dialog.value && emit("close") };
  },
};

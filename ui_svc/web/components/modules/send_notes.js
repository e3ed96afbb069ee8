// The bar that sends line comments to an agent, as a new task of the epic.
import { computed, ref } from "vue";
import { post } from "./api.js";
import { plural } from "./format.js";
import { Icon } from "./icons.js";
import { promptOf } from "./line_notes.js";
import { toast } from "./toasts.js";

const newId = () => crypto.randomUUID?.() ?? String(Math.random());

export const SendNotes = {
  props: ["notes", "epics", "epic"],
  components: { Icon },
  template: /* HTML */ ` <form
    v-if="count"
    class="send-notes"
    aria-label="Send comments"
    @submit.prevent="send"
  >
    <p><b class="num">{{ plural(count, "comment") }}</b><span v-if="!epic" class="quiet"> for</span></p>
    <select v-if="!epic" v-model="chosen" aria-label="Epic that gets the task" required>
      <option value="" disabled>Choose an epic</option>
      <option v-for="each in epics" :key="each.name" :value="each.name">{{ each.title }}</option>
    </select>
    <details class="send-preview">
      <summary>Prompt</summary>
      <pre tabindex="0">{{ prompt }}</pre>
    </details>
    <span class="grow"></span>
    <p v-if="refusal" class="tone-bad-text" role="alert">{{ refusal }}</p>
    <button type="button" class="button small" :disabled="busy" @click="notes.clear">Discard</button>
    <button type="submit" class="button small primary" :disabled="busy || !target">
      <Icon name="send" />{{ busy ? "Sending…" : "Send as a task" }}
    </button>
  </form>`,
  setup(props) {
    const busy = ref(false);
    const refusal = ref("");
    const chosen = ref("");
    // The same comments sent again after a lost answer are one task.
    let id = newId();
    const notes = computed(() => props.notes.notes.value);
    const target = computed(
      () => props.epic || chosen.value || (props.epics.length === 1 ? props.epics[0].name : ""),
    );
    const prompt = computed(() => promptOf(notes.value));
    async function send() {
      busy.value = true;
      refusal.value = "";
      try {
        const task = await post(`${target.value}/tasks`, {
          prompt: prompt.value,
          title: `Review: ${plural(notes.value.length, "comment")}`,
          request_id: id,
        });
        props.notes.clear();
        id = newId();
        toast(`“${task.title}” is task ${task.position} of its epic`);
      } catch (problem) {
        refusal.value = problem.message;
        // Other comments become another task.
        if (problem.reason !== "OFFLINE") id = newId();
      } finally {
        busy.value = false;
      }
    }
    return { busy, chosen, count: computed(() => notes.value.length), plural, prompt, refusal, send, target };
  },
};

// The change of one attempt, fetched when it is shown.
import { ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { Diff, readFiles } from "./diff.js";

export const AttemptDiff = {
  props: ["attempt"],
  components: { Diff },
  template: /* HTML */ ` <div v-if="diff"><Diff :files="diff.files" :truncated="diff.truncated" /></div>
    <p v-else-if="problem" class="note is-bad" role="alert">
      {{ problem }} <button type="button" class="button small" @click="read">Try again</button>
    </p>
    <p v-else class="quiet" role="status">Loading the change…</p>`,
  setup(props) {
    const diff = shallowRef(null);
    const problem = ref("");
    async function read() {
      const { attempt } = props;
      problem.value = "";
      try {
        const { text, truncated } = await get(`${attempt}/diff`);
        if (attempt === props.attempt) diff.value = { files: readFiles(text), truncated };
      } catch (error) {
        problem.value = error.message;
      }
    }
    watch(() => props.attempt, read, { immediate: true });
    return { diff, problem, read };
  },
};

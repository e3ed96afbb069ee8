// Disk use of a run's worktrees; hidden if it has none.
import { computed, onMounted, onUnmounted, ref } from "vue";
import { get } from "./api.js";
import { bytes, plural } from "./format.js";
import { RUN_ENDED } from "./status.js";

// Workers do not measure more often than this.
const AGAIN = 60000;

export const DiskUse = {
  props: ["run"],
  template: /* HTML */ `<span v-if="use.worktrees" class="num disk-use" :title="title"
    >{{ bytes(use.bytes) }}</span
  >`,
  setup(props) {
    const use = ref({ bytes: 0, worktrees: 0 });
    let timer = 0;
    async function read() {
      try {
        if (!document.hidden) use.value = await get(`${props.run.name}/disk`);
      } catch {
        // The last figure stays.
      }
      if (timer !== null && !RUN_ENDED.has(props.run.state)) timer = setTimeout(read, AGAIN);
    }
    onMounted(read);
    onUnmounted(() => {
      clearTimeout(timer);
      timer = null;
    });
    const title = computed(
      () =>
        `${plural(use.value.worktrees, "worktree")} on the worker's disk, as last measured. ` +
        "The repository's objects, which all runs share, are not counted. " +
        "The command heddle worktrees shows each worktree.",
    );
    return { bytes, title, use };
  },
};

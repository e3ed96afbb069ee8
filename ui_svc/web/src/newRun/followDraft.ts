// Follows the draft of a plan on the server until it has ended.
import { computed, onUnmounted, ref } from "vue";
import { get, messageOf, post } from "../browser/api";
import { type FoundDraft, hasEnded } from "./goalDraft";

const EVERY = 1000;

// `ended` is called once it has ended, `lost` if there is no such draft. `fresh`: it has not ended when it was first seen.
export function useFollowedDraft(ended: (found: FoundDraft, fresh: boolean) => void, lost: () => void) {
  const name = ref("");
  const found = ref<FoundDraft | null>(null);
  const problem = ref("");
  const stopping = ref(false);
  let fresh = false;
  let due: ReturnType<typeof setTimeout> | undefined;

  const running = computed(() => !!name.value && !(found.value && hasEnded(found.value)));

  function follow(run: string, first: FoundDraft | null = null) {
    [name.value, found.value, problem.value, fresh] = [run, first, "", !!first];
    look();
  }
  function leave() {
    clearTimeout(due);
    [name.value, found.value] = ["", null];
  }
  async function look() {
    clearTimeout(due);
    const run = name.value;
    try {
      const answer: FoundDraft = await get(`${run}/draft`);
      if (run !== name.value) return;
      [problem.value, found.value] = ["", answer];
      if (hasEnded(answer)) return ended(answer, fresh);
      fresh = true;
    } catch (error) {
      if (run !== name.value) return;
      problem.value = messageOf(error);
      if ((error as any).reason === "NOT_FOUND") {
        leave();
        return lost();
      }
    }
    due = setTimeout(look, EVERY);
  }
  async function stop() {
    stopping.value = true;
    try {
      await post(`${name.value}:cancel`);
      await look();
    } catch (error) {
      problem.value = messageOf(error);
    } finally {
      stopping.value = false;
    }
  }
  onUnmounted(() => clearTimeout(due));
  return { name, found, problem, running, stopping, follow, leave, stop };
}

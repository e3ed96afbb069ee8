// One session on the board: its activity, and its actions.
import { computed, watch } from "vue";
import { useInSight } from "../browser/inSight";
import { href } from "../browser/paths";
import { costOf } from "../model/format";
import { ATTEMPT_LIVE, attemptLook, CHOICE } from "../model/status";
import { plain, waitingFor } from "../model/text";
import type { Attempt, Summary, Task } from "../model/types";
import { TOOL_ICONS } from "../parts/toolIcons";
import { toast } from "../stores/toasts";
import { previewsOf } from "../stores/workers";
import type { RunData } from "../stores/runStore";

// How full the context of a session's model is; null if its agent does not report it.
export function contextOf(summary: Summary | null | undefined) {
  const { tokens = 0, window = 0 } = summary?.context ?? {};
  if (!tokens) return null;
  const label = window
    ? `Context ${Math.round((100 * tokens) / window)} %`
    : `Context ${tokens.toLocaleString("en")}`;
  return {
    label,
    title: `${tokens.toLocaleString("en")} tokens in the model's context${window ? ` of ${window.toLocaleString("en")}` : ""}`,
  };
}

// The content of a card or row for a task's newest attempt; `props` has the store and the task.
export function useCard(
  props: Readonly<{ store: RunData; task: Task }>,
  emit: (event: "open", attempt: string) => void,
) {
  // A task without an attempt has no card.
  const attempt = computed((): Attempt => props.task.attempt!);
  const inSight = useInSight();
  watch(
    [() => props.task.name, inSight],
    ([name, seen], _, onCleanup) => seen && onCleanup(props.store.see(name)),
    { immediate: true },
  );
  const summary = computed<Summary | null>((before) => {
    const it = props.store.summaries.get(props.task.name);
    const now = it?.attempt === attempt.value.name ? it : attempt.value.summary;
    // A card out of sight is not redrawn for each line of its agent.
    const same =
      before?.attempt === now?.attempt &&
      before?.state === now?.state &&
      before?.waiting?.id === now?.waiting?.id &&
      before?.background?.length === now?.background?.length;
    return before && same && !inSight.value ? before : now;
  });
  // The task waits for the choice of a candidate, so how its last one ended is not the point.
  const choosing = computed(
    () => !!props.task.candidate && props.store.wholeOf(props.task).state === "waiting",
  );
  // Whether it is in a state of a running attempt; in a replay, it may have been.
  const under = computed(() => ATTEMPT_LIVE.has(attempt.value.state));
  const live = computed(() => under.value && !props.store.past);
  const cost = computed(() =>
    costOf(live.value ? (summary.value?.usage ?? attempt.value.usage) : attempt.value.usage),
  );
  function open(event: MouseEvent) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    event.stopPropagation();
    emit("open", attempt.value.name);
  }
  return {
    attempt,
    choosing,
    // What a session waits for after its agent's turn.
    background: computed(() =>
      live.value && summary.value?.background?.length ? waitingFor(summary.value.background) : "",
    ),
    context: computed(() => (live.value ? contextOf(summary.value) : null)),
    cost,
    href,
    live,
    open,
    summary,
    under,
    // Elements above the link, which show a title, open the session too.
    onCard(event: MouseEvent) {
      if (!(event.target as Element).closest("a, button, .ask, .approval")) emit("open", attempt.value.name);
    },
    // Where a server of the session would be.
    previews: computed(() => (live.value ? previewsOf(props.store.epics.get(props.task.epic)) : [])),
    pending: computed(() => props.store.pending.get(attempt.value.name)),
    // The card moves to its new state, which may be out of sight.
    async answer(approved: boolean, message: string, scope: string) {
      const parked = attempt.value.state === "parked";
      await props.store.resolve(attempt.value.name, summary.value!.waiting!.id, approved, message, scope);
      const then = parked ? "continues when a slot is free" : "continues";
      toast(`${approved ? "Allowed" : "Denied"}: “${plain(props.task.title)}” ${then}`);
    },
    // The question of a parked attempt belongs to the task.
    reason: computed(() =>
      plain(
        (["parked", "waiting"].includes(attempt.value.state) && props.task.reason) ||
          attempt.value.reason ||
          props.task.reason,
      ),
    ),
    // A state that began with the attempt is as old as the attempt.
    since: computed(() => Math.max(props.task.since ?? 0, attempt.value.started ?? 0) || null),
    // The summary is newer than the attempt, but only while that lives.
    state: computed(() => {
      if (choosing.value) return CHOICE;
      const now = live.value ? summary.value?.state : undefined;
      return attemptLook(props.task, now ?? attempt.value.state);
    }),
    stop: () => props.store.stop(attempt.value.name),
    tool: computed(() => (live.value ? summary.value?.tool : null)),
    toolIcon: computed(() => TOOL_ICONS[summary.value?.tool?.kind ?? ""] ?? "bolt"),
    total: computed(() => props.store.tasksOf(props.task.epic).length),
    waiting: computed(() => (live.value || attempt.value.state === "parked" ? summary.value?.waiting : null)),
  };
}

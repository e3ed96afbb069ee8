// One item that waits for the operator, with its actions.
import { computed, ref } from "vue";
import { post } from "./api.js";
import { Approval } from "./approval.js";
import { Icon } from "./icons.js";
import { NewBudget } from "./new_budget.js";
import { Ago } from "./parts.js";
import { href } from "./paths.js";
import { plain } from "./text.js";
import { toast } from "./toasts.js";

// `again`: the action of its button, on the part of the run that `of` names.
const KINDS = {
  task: {
    word: "Failed",
    icon: "cross",
    tone: "bad",
    again: { word: "Retry", of: "task", action: "retry", said: "gets another attempt" },
  },
  run: { word: "The run failed", icon: "cross", tone: "bad" },
  conflict: {
    word: "Merge conflict",
    icon: "merge",
    tone: "bad",
    again: { word: "Merge again", of: "epic", action: "merge", said: "is merged again" },
  },
  unchanged: { word: "Accepted without a change", icon: "minus", tone: "quiet" },
  held: { word: "Merge on hold", icon: "merge", tone: "wait" },
  merge: {
    word: "Awaiting your merge",
    icon: "merge",
    tone: "wait",
    again: { word: "Merge", of: "epic", action: "merge", said: "is merged" },
  },
  environment: { word: "Waiting for its environment", icon: "clock", tone: "wait" },
  push: {
    word: "Not pushed",
    icon: "cross",
    tone: "bad",
    again: { word: "Push again", of: "run", action: "push", said: "is pushed again" },
  },
  budget: { word: "Paused", icon: "coin", tone: "wait" },
  provider: {
    word: "Paused",
    icon: "lock",
    tone: "wait",
    again: { word: "Resume", of: "run", action: "resume", said: "is resumed" },
  },
  question: { word: "Question", icon: "hand", tone: "wait" },
};

export const Item = {
  props: ["item", "attention"],
  components: { Ago, Approval, Icon, NewBudget },
  template: /* HTML */ ` <li
    class="attention-item"
    :class="'tone-' + kind.tone"
    tabindex="-1"
    :data-key="item.key"
  >
    <p class="attention-place">
      <a :href="address">{{ item.title }}</a><span class="quiet">{{ place }}</span><span class="grow"></span
      ><span class="quiet num"><Ago :time="item.time" /></span>
    </p>
    <Approval
      v-if="item.kind === 'question'"
      :key="item.key"
      :waiting="item"
      :pending="attention.pending.get(item.key)"
      :act="(approved, message, scope) => attention.answer(item, approved, message, scope)"
    />
    <template v-else>
      <p class="attention-reason">
        <Icon :name="kind.icon" /><span
          ><b>{{ kind.word }}</b><template v-if="item.reason">: {{ plain(item.reason) }}</template></span
        >
      </p>
      <p v-if="item.saved" class="quiet attention-saved">
        Nothing is lost: the work is on <code>{{ item.saved }}</code>. Fix the branch, then merge it again.
      </p>
      <NewBudget v-if="giving" :item="item" focus @close="giving = false" />
      <div v-else class="approval-buttons">
        <button
          v-if="kind.again"
          type="button"
          class="button small"
          :disabled="asked"
          data-answer="retry"
          @click="retry"
        >
          <Icon name="retry" />{{ asked ? "Starting…" : kind.again.word }}
        </button>
        <button
          v-if="item.kind === 'budget' && item.of"
          type="button"
          class="button small primary"
          data-answer="budget"
          @click="giving = true"
        >
          Raise the budget…
        </button>
        <button
          v-if="!item.waits"
          type="button"
          class="button small ghost"
          data-answer="dismiss"
          @click="attention.dismiss(item)"
        >
          Dismiss
        </button>
      </div>
    </template>
  </li>`,
  setup(props) {
    const asked = ref(false);
    const giving = ref(false);
    const kind = computed(() => KINDS[props.item.kind]);
    async function retry() {
      const { of, action, said } = kind.value.again;
      asked.value = true;
      try {
        await post(`${props.item[of]}:${action}`);
        toast(`${props.item.title} ${said}`);
      } catch (problem) {
        asked.value = false;
        toast(problem.message, "bad");
      }
    }
    return {
      address: computed(() => href(`/${props.item.attempt ?? props.item.run}`)),
      asked,
      giving,
      kind,
      place: computed(() =>
        [props.item.epic_title, props.item.run_title]
          .filter((each) => each && each !== props.item.title)
          .join(" · "),
      ),
      plain,
      retry,
    };
  },
};

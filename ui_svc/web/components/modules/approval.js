// What an agent asks the operator, and the buttons that answer it.
import { nextTick, ref } from "vue";
import { Icon } from "./icons.js";
import { plain } from "./text.js";
import { toast } from "./toasts.js";

// `act(approved, message, scope)` returns a promise; the scope is "session", "run" or "" for this call alone.
// `pending` is the answer that has not taken effect yet.
export const Approval = {
  props: ["waiting", "pending", "act"],
  components: { Icon },
  template: /* HTML */ ` <div class="approval" @click.stop>
    <p class="approval-question"><Icon name="hand" /><span>{{ plain(waiting.question) }}</span></p>
    <p v-if="waiting.tool || waiting.target" class="approval-target">
      <b>{{ plain(waiting.tool) }}</b> <code>{{ plain(waiting.target) }}</code>
    </p>
    <input
      v-if="writing"
      ref="field"
      v-model="message"
      class="approval-message"
      aria-label="Message to the agent"
      placeholder="What the agent should know"
      :disabled="!!pending"
      @keydown.esc.stop.prevent="fold"
      @keydown.enter.prevent
    />
    <div class="approval-buttons">
      <button
        type="button"
        class="button small primary"
        :disabled="!!pending"
        data-answer="allow"
        title="Allow (a)"
        @click="answer(true)"
      >
        {{ pending === "allowing" ? "Allowing…" : "Allow" }}
      </button>
      <button
        type="button"
        class="button small"
        :disabled="!!pending"
        data-answer="deny"
        title="Deny (d)"
        @click="answer(false)"
      >
        {{ pending === "denying" ? "Denying…" : "Deny" }}
      </button>
      <span v-if="waiting.tool && !pending" class="approval-always">
        <button
          type="button"
          class="button small ghost"
          data-answer="session"
          title="Allow, and do not ask again in this session"
          @click="answer(true, 'session')"
        >
          Always in session
        </button>
        <button
          type="button"
          class="button small ghost"
          data-answer="run"
          title="Allow, and do not ask again in sessions of this run that begin later"
          @click="answer(true, 'run')"
        >
          Always in run
        </button>
      </span>
      <button
        v-if="!writing && !pending"
        type="button"
        class="button small ghost"
        data-answer="message"
        title="With a message (m)"
        @click="write"
      >
        With a message…
      </button>
    </div>
  </div>`,
  setup(props) {
    const field = ref(null);
    const message = ref("");
    const writing = ref(false);
    async function write() {
      writing.value = true;
      await nextTick();
      field.value.focus();
    }
    function fold(event) {
      const place = event.target.closest("[data-key], dialog");
      if (!message.value) writing.value = false;
      place?.focus();
    }
    async function answer(approved, scope = "") {
      if (props.pending) return;
      try {
        await props.act(approved, message.value.trim(), scope);
      } catch (problem) {
        toast(problem.message, "bad");
      }
    }
    return { answer, field, fold, message, plain, write, writing };
  },
};

// A field for messages of the operator to a running agent.
import { computed, ref } from "vue";
import { post } from "./api.js";
import { Icon } from "./icons.js";

const newId = () => crypto.randomUUID?.() ?? String(Math.random());

export const Steer = {
  props: ["attempt", "log"],
  components: { Icon },
  template: /* HTML */ ` <form class="steer" @submit.prevent="send">
    <ul v-if="unheard.length" class="steer-sent" role="status">
      <li v-for="each in unheard" :key="each.id">
        <Icon name="clock" /><span>{{ each.text }}</span
        ><span class="quiet">sent; the agent has not read it yet</span>
      </li>
    </ul>
    <p v-if="refusal" class="note is-bad" role="alert">{{ refusal }}</p>
    <div v-if="listens" class="steer-line">
      <textarea
        ref="field"
        v-model="text"
        rows="1"
        aria-label="Instructions to the agent"
        placeholder="Instructions to the agent"
        :disabled="busy"
        @keydown.enter.exact.prevent="send"
        @keydown.esc="onEsc"
      ></textarea>
      <button type="submit" class="button primary" :disabled="busy || !text.trim()">
        <Icon name="send" />{{ busy ? "Sending…" : "Send" }}
      </button>
    </div>
  </form>`,
  setup(props) {
    const text = ref("");
    const busy = ref(false);
    const refusal = ref("");
    const listens = ref(true);
    const field = ref(null);
    const sent = ref([]);
    // The same message sent again after a lost answer is delivered once.
    let id = newId();

    // Once the session's log has the message, the log shows it.
    const unheard = computed(() => {
      const heard = props.log.blocks
        .filter((block) => block.type === "operator")
        .map((block) => block.text.trim());
      return sent.value.filter((each) => !heard.includes(each.text));
    });

    async function send() {
      const said = text.value.trim();
      if (!said || busy.value) return;
      busy.value = true;
      refusal.value = "";
      try {
        await post(`${props.attempt}:send`, { text: said, message_id: id });
        sent.value.push({ id, text: said });
        text.value = "";
        id = newId();
      } catch (problem) {
        refusal.value = problem.message;
        listens.value = problem.reason !== "CANNOT_LISTEN";
      } finally {
        busy.value = false;
        field.value?.focus();
      }
    }
    function onEsc(event) {
      // The first Esc leaves the field, the second closes the session.
      event.preventDefault();
      event.stopPropagation();
      event.target.closest("dialog")?.querySelector('[role="tab"][aria-selected="true"]')?.focus();
    }
    return { busy, field, listens, onEsc, refusal, send, text, unheard };
  },
};

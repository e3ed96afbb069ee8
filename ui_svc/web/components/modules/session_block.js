// One block of a session: a message, tool call, picture or check.
import { computed, ref } from "vue";
import { apiUrl } from "./api.js";
import { took } from "./format.js";
import { Icon } from "./icons.js";
import { Markdown } from "./markdown.js";
import { plain } from "./text.js";
import { ToolCard } from "./tool_card.js";

// Only the end of raw output is shown; the log has all of it.
const OUTPUT_SHOWN = 20_000;
const EXCERPT = 160;

// Reasoning stays folded, so that nothing moves when it ends; one line shows its topic.
const Thinking = {
  props: ["block"],
  components: { Icon, Markdown },
  template: /* HTML */ ` <details class="thinking" @toggle="opened = $event.target.open">
    <summary>
      <Icon name="thought" /><span>{{ block.whole ? "Thought" : "Thinking" }}</span
      ><span v-if="!opened" class="thinking-line">{{ line }}</span>
    </summary>
    <Markdown v-if="opened" :text="block.text" />
  </details>`,
  setup(props) {
    const line = computed(() => {
      const lines = props.block.text
        .slice(props.block.whole ? 0 : -2000)
        .split("\n")
        .filter((each) => each.trim());
      return plain((props.block.whole ? lines[0] : lines[lines.length - 1])?.slice(0, EXCERPT) ?? "");
    });
    return { line, opened: ref(false) };
  },
};

export const Block = {
  props: ["block", "attempt"],
  components: { Icon, Markdown, Thinking, ToolCard },
  template: /* HTML */ ` <ToolCard v-if="block.type === 'tool'" :block="block" />
    <Markdown v-else-if="block.type === 'text'" class="said" :text="block.text" />
    <Thinking v-else-if="block.type === 'thinking'" :block="block" />
    <div v-else-if="block.type === 'operator'" class="operator">
      <b>You</b><Markdown :text="block.text" />
    </div>
    <pre v-else-if="block.type === 'output'" class="raw" tabindex="0">
{{ plain(block.text.slice(-OUTPUT_SHOWN)) }}</pre>
    <p v-else-if="block.type === 'system'" class="aside">{{ plain(block.text.slice(-OUTPUT_SHOWN)) }}</p>
    <figure v-else-if="block.type === 'screenshot'" class="shot-inline">
      <img
        :src="apiUrl(attempt + '/artifacts/' + block.artifact)"
        :alt="plain(block.caption || 'Screenshot')"
        loading="lazy"
      />
      <figcaption>{{ plain(block.caption ?? "") }}</figcaption>
    </figure>
    <p v-else-if="block.type === 'question'" class="aside">
      <Icon name="hand" /><span>{{ plain(block.question) }}</span
      ><b v-if="block.answer">{{ block.answer.approved ? "Allowed" : "Denied" }}</b
      ><code v-if="block.answer?.rule">{{ plain(block.answer.rule) }}</code>
    </p>
    <p v-else-if="block.type === 'check_finished'" class="aside" :class="block.ok ? 'is-ok' : 'is-bad'">
      <Icon name="shield" /><span>Check {{ plain(block.name) }} {{ block.ok ? "passed" : "failed" }}</span
      ><span class="num tool-time">{{ took(block.duration) }}</span>
    </p>
    <p
      v-else-if="block.type === 'session_finished'"
      class="aside end"
      :class="block.outcome === 'succeeded' ? 'is-ok' : 'is-bad'"
    >
      <Icon :name="block.outcome === 'succeeded' ? 'check' : 'cross'" /><span>{{ plain(block.log[2]) }}</span>
    </p>`,
  setup: () => ({ apiUrl, OUTPUT_SHOWN, plain, took }),
};

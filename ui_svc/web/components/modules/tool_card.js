// One tool call, which unfolds to its input and output.
import { computed, inject, ref } from "vue";
import { now } from "./clock.js";
import { Lines } from "./diff.js";
import { editLines, readPlan } from "./edits.js";
import { duration, took } from "./format.js";
import { Icon } from "./icons.js";
import { plain } from "./text.js";

export const TOOL_ICONS = { read: "file", edit: "edit", command: "terminal", search: "search" };

// A card shows this many lines of a change, and this much of a text; the log has all.
const MOST_LINES = 500;
const MOST_TEXT = 64 << 10;

const LOOKS = { running: ["⚡", "running"], ok: ["✓", "done"], failed: ["✗", "failed"] };

export const ToolCard = {
  props: ["block"],
  components: { Icon, Lines },
  template: /* HTML */ ` <details
    class="tool"
    :class="'is-' + block.state"
    @toggle="opened = $event.target.open"
  >
    <summary>
      <span class="tool-mark" :title="word">{{ mark }}<span class="visually-hidden">{{ word }}</span></span>
      <Icon :name="icon" /><b>{{ plan ? 'Plan' : plain(block.name) }}</b
      ><code class="tool-target">{{ target }}</code>
      <span v-if="size" class="num diff"><ins>+{{ size.added }}</ins> <del>−{{ size.removed }}</del></span>
      <span class="num tool-time">{{ time }}</span>
    </summary>
    <div v-if="opened" class="tool-body">
      <div v-if="lines" class="diff-scroll tool-change" tabindex="0" role="group" aria-label="Change">
        <Lines :lines="lines.slice(0, MOST_LINES)" view="plain" />
        <p v-if="lines.length > MOST_LINES" class="quiet">
          {{ lines.length - MOST_LINES }} more lines are in the log.
        </p>
      </div>
      <template v-else-if="block.input"
        ><h4>Input</h4>
        <pre tabindex="0">{{ shown(block.input) }}</pre>
      </template>
      <template v-if="block.output"
        ><h4>Output</h4>
        <pre tabindex="0">{{ shown(block.output) }}</pre>
      </template>
      <template v-if="block.result"
        ><h4>Result</h4>
        <pre tabindex="0">{{ shown(block.result) }}</pre>
      </template>
      <p v-if="!block.input && !block.output && !block.result" class="quiet">No details.</p>
    </div>
  </details>`,
  setup(props) {
    const opened = ref(false);
    const moment = inject("moment", () => 0);
    const lines = computed(() =>
      props.block.kind === "edit" && props.block.input ? editLines(props.block) : null,
    );
    const many = (kind) => lines.value.filter((line) => line.kind === kind).length;
    const plan = computed(() =>
      props.block.name === "TodoWrite" ? readPlan(props.block.input ?? "") : null,
    );
    return {
      lines,
      MOST_LINES,
      opened,
      plain,
      plan,
      shown: (text) => plain(text.slice(0, MOST_TEXT)),
      size: computed(() => lines.value && { added: many("add"), removed: many("del") }),
      target: computed(() =>
        plan.value
          ? `${plan.value.filter((step) => step.state === "done").length} of ${plan.value.length} done`
          : plain((props.block.target ?? "").slice(0, 500)),
      ),
      mark: computed(() => LOOKS[props.block.state][0]),
      word: computed(() => LOOKS[props.block.state][1]),
      icon: computed(() => TOOL_ICONS[props.block.kind] ?? "bolt"),
      time: computed(() =>
        props.block.state === "running"
          ? duration((moment() || now.value) - props.block.started)
          : took(props.block.seconds),
      ),
    };
  },
};

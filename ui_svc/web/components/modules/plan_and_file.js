// Next to the agent's messages: its plan, and the file that it is changing.
import { computed } from "vue";
import { Lines } from "./diff.js";
import { editLines } from "./edits.js";
import { Icon } from "./icons.js";
import { plain } from "./text.js";

// The end of a longer change is shown.
const MOST_LINES = 200;

const LOOKS = {
  done: { icon: "check", word: "done" },
  doing: { icon: "spinner", word: "in progress" },
  left: { icon: "circle", word: "left" },
};

export const PlanAndFile = {
  props: ["latest", "live"],
  components: { Icon, Lines },
  template: /* HTML */ ` <aside
    v-if="latest.plan || file"
    class="side-panel"
    aria-label="Plan and current file"
  >
    <details v-if="latest.plan" class="side-panel-part" :open="wide">
      <summary>Plan<span class="num quiet">{{ done }} of {{ latest.plan.length }}</span></summary>
      <ol class="plan-steps">
        <li
          v-for="(step, place) in latest.plan"
          :key="place"
          :class="'is-' + (step.state === 'doing' && !live ? 'left' : step.state)"
        >
          <Icon :name="LOOKS[step.state === 'doing' && !live ? 'left' : step.state].icon" /><span
            >{{ plain(step.text) }}<span class="visually-hidden"> ({{ LOOKS[step.state].word }})</span></span
          >
        </li>
      </ol>
    </details>
    <details v-if="file" class="side-panel-part side-panel-file" :open="wide">
      <summary>
        <span class="side-panel-word">{{ live ? "Editing" : "Edited last" }}</span
        ><code :title="plain(file)">{{ plain(file) }}</code
        ><span class="num diff"><ins>+{{ many("add") }}</ins> <del>−{{ many("del") }}</del></span>
      </summary>
      <div class="diff-scroll" tabindex="0" role="group" :aria-label="'Change of ' + plain(file)">
        <Lines :lines="lines.slice(-MOST_LINES)" view="plain" />
      </div>
    </details>
  </aside>`,
  setup(props) {
    const lines = computed(() => props.latest.edits.flatMap(editLines));
    return {
      lines,
      LOOKS,
      MOST_LINES,
      plain,
      done: computed(() => props.latest.plan.filter((step) => step.state === "done").length),
      file: computed(() => props.latest.edits[0]?.target ?? ""),
      many: (kind) => lines.value.filter((line) => line.kind === kind).length,
      wide: matchMedia("(min-width: 1000px)").matches,
    };
  },
};

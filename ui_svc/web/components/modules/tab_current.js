// Agent activity now.
import { computed, onMounted, onUnmounted, ref, watch } from "vue";
import { Approval } from "./approval.js";
import { contextOf } from "./card.js";
import { PlanAndFile } from "./plan_and_file.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { Block } from "./session_block.js";
import { Steer } from "./steer.js";
import { plain, waitingFor } from "./text.js";
import { TOOL_ICONS } from "./tool_card.js";

// Earlier blocks are in the log.
const MOST_BLOCKS = 300;

export const Current = {
  props: ["store", "attempt", "task", "log", "live", "until"],
  emits: ["tab"],
  components: { Approval, PlanAndFile, Block, Empty, Icon, Steer },
  template: /* HTML */ ` <div class="current">
    <div v-if="live" class="now-bar">
      <template v-if="tool"
        ><Icon :name="toolIcon" /><b>{{ plain(tool.name) }}</b
        ><code>{{ plain((tool.target ?? '').slice(0, 300)) }}</code></template
      >
      <template v-else
        ><Icon :name="waiting ? 'hand' : 'thought'" /><span class="quiet">{{ idle }}</span></template
      >
      <span v-if="context" class="fact num" :title="context.title">{{ context.label }}</span>
    </div>
    <Approval
      v-if="waiting"
      :key="waiting.id"
      class="in-modal"
      :waiting="waiting"
      :pending="pending"
      :act="(approved, message, scope) => store.resolve(attempt, waiting.id, approved, message, scope)"
    />
    <div class="current-body">
      <div
        class="scroll"
        ref="box"
        :style="{ overflowAnchor: following ? 'none' : 'auto' }"
        tabindex="0"
        aria-label="Agent activity"
        @scroll.passive="onScroll"
      >
        <div class="stream" ref="content">
          <p v-if="log.problem" class="note is-bad" role="alert">{{ log.problem }}</p>
          <button v-if="hidden" type="button" class="button small ghost" @click="$emit('tab', 'logs')">
            Earlier activity is in the logs
          </button>
          <Block
            v-for="(block, place) in shown"
            :key="block.key ?? 'b' + (offset + place)"
            :class="{ 'is-nested': block.parent_tool_call_id }"
            :block="block"
            :attempt="attempt"
          />
          <div v-if="!log.ready" class="skeleton-lines" role="status" aria-label="Loading">
            <i></i><i></i><i></i>
          </div>
          <Empty v-else-if="!shown.length" icon="clock" :title="live ? 'No activity yet' : 'No activity'"
            ><p>
              <template v-if="live">Its messages and tool calls appear here as they happen.</template>
              <template v-else>The logs and the checks may say why.</template>
            </p></Empty
          >
        </div>
      </div>
      <PlanAndFile :latest="log.latest" :live="live || !!until" />
    </div>
    <div class="follow-place">
      <button v-if="!following && live" type="button" class="button small follow" @click="follow">
        <Icon name="down" />Follow
      </button>
    </div>
    <Steer v-if="live" :attempt="attempt" :log="log" />
  </div>`,
  setup(props) {
    const box = ref(null);
    const content = ref(null);
    const following = ref(true);
    let lastTop = 0;
    // Blocks before it are not shown. It only grows while the view follows its end, so that
    // a reader who has scrolled up is not disturbed.
    const offset = ref(0);
    watch(
      () => props.log.blocks.length,
      (length) => {
        if (following.value && length - offset.value > MOST_BLOCKS * 1.2) offset.value = length - MOST_BLOCKS;
      },
      { immediate: true },
    );
    const shown = computed(() => props.log.blocks.slice(offset.value));
    const summary = computed(() => {
      const it = props.task && props.store.summaries.get(props.task.name);
      return it?.attempt === props.attempt ? it : null;
    });
    const tool = computed(() => summary.value?.tool ?? (void props.log.version, props.log.current()));
    function onScroll() {
      // A late event of a removed list.
      if (!box.value) return;
      const { scrollTop, scrollHeight, clientHeight } = box.value;
      // Only scrolling up stops following: new text moves the end away too.
      if (scrollTop < lastTop - 1) following.value = false;
      if (scrollHeight - scrollTop - clientHeight < 40) following.value = true;
      lastTop = scrollTop;
    }
    function follow() {
      following.value = true;
      box.value.scrollTop = box.value.scrollHeight;
      lastTop = box.value.scrollTop;
    }
    // Text that comes and pictures that load make the content grow.
    const growth = new ResizeObserver(() => {
      // The reader may have just scrolled up, before the event arrived.
      onScroll();
      if (following.value && box.value) follow();
    });
    onMounted(() => growth.observe(content.value));
    onUnmounted(() => growth.disconnect());
    const idle = computed(() => {
      if (summary.value?.waiting) return "Waiting for your answer";
      if (summary.value?.background?.length) return waitingFor(summary.value.background);
      if (summary.value?.state === "checking") return "The agent has finished; its checks are running";
      return summary.value?.state === "starting" ? "Starting" : "Between tool calls";
    });
    return {
      context: computed(() => contextOf(summary.value)),
      box,
      idle,
      content,
      follow,
      following,
      offset,
      onScroll,
      plain,
      shown,
      tool,
      hidden: computed(
        () => offset.value > 0 || props.log.skipped || (props.log.ready && !props.log.complete),
      ),
      pending: computed(() => props.store.pending.get(props.attempt)),
      toolIcon: computed(() => TOOL_ICONS[tool.value?.kind] ?? "bolt"),
      waiting: computed(() =>
        props.live || summary.value?.state === "parked" ? summary.value?.waiting : null,
      ),
    };
  },
};

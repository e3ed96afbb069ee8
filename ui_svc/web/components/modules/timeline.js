// When each epic's attempts and merges ran, side by side.
import { computed, nextTick, onMounted, onUnmounted, ref, shallowRef, watch } from "vue";
import { get } from "./api.js";
import { now } from "./clock.js";
import { absolute, clock, clockTime, duration, plural } from "./format.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { href } from "./paths.js";
import { ATTEMPT, EPIC, RUN_ENDED, status } from "./status.js";
import { createScale, ticks } from "./timeline_scale.js";
import { createSpans, criticalPath } from "./timeline_spans.js";

const MOST_ZOOM = 400;
const MERGE = {
  running: { word: "Merging", icon: "merge", tone: "run" },
  accepted: { word: "Merged", icon: "merge", tone: "ok" },
  failed: { word: "Merge conflict", icon: "merge", tone: "bad" },
};

export const Timeline = {
  props: ["store", "moment"],
  emits: ["open"],
  components: { Empty, Icon },
  template: /* HTML */ ` <div class="timeline">
    <div class="timeline-tools">
      <div class="button-group" role="group" aria-label="Zoom">
        <button
          type="button"
          class="icon-button"
          aria-label="Zoom out"
          title="Zoom out (−)"
          :disabled="zoom <= 1"
          @click="zoomTo(zoom / 1.6)"
        >
          <Icon name="minus" />
        </button>
        <button
          type="button"
          class="button small"
          :disabled="zoom === 1"
          title="Show all (0)"
          @click="zoomTo(1)"
        >
          Fit
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Zoom in"
          title="Zoom in (+)"
          :disabled="zoom >= MOST_ZOOM"
          @click="zoomTo(zoom * 1.6)"
        >
          <Icon name="plus" />
        </button>
      </div>
      <label class="tick"><input v-model="compress" type="checkbox" />Compress idle time</label>
      <span class="grow"></span>
      <ul class="timeline-legend" aria-label="Legend">
        <li><i class="tone-run"></i>Running</li>
        <li><i class="is-wait"></i>Waiting for you</li>
        <li><i class="tone-ok"></i>Done</li>
        <li><i class="tone-bad"></i>Failed</li>
        <li><i class="is-critical"></i>Critical path</li>
      </ul>
    </div>
    <p v-if="problem" class="note is-bad" role="alert">
      {{ problem }} <button type="button" class="button small" @click="read">Try again</button>
    </p>
    <div v-if="!ready" class="skeleton-lines" role="status" aria-label="Loading the timeline">
      <i></i><i></i><i></i>
    </div>
    <Empty v-else-if="!spans.length" icon="clock" title="Nothing has started yet"
      ><p>Each epic gets a line here once its first task runs.</p></Empty
    >
    <div
      v-show="ready && spans.length"
      ref="box"
      class="timeline-box"
      tabindex="0"
      role="region"
      aria-label="Timeline"
      @scroll.passive="noteEnd"
      @wheel="onWheel"
      @keydown="onKey"
    >
      <div class="timeline-inner" :style="{ '--lane': lane + 'px' }">
        <div class="timeline-axis" aria-hidden="true">
          <span v-for="tick in axis" :key="tick.time" class="num" :style="{ left: tick.x + 'px' }"
            >{{ tickTime(tick) }}</span
          >
        </div>
        <div class="timeline-back" aria-hidden="true">
          <i v-for="tick in axis" :key="tick.time" class="timeline-line" :style="{ left: tick.x + 'px' }"></i>
          <i
            v-for="gap in scale.gaps"
            :key="gap.from"
            class="timeline-gap"
            :style="{ left: gap.start * lane + 'px', width: gap.width * lane + 'px' }"
            :title="duration(gap.to - gap.from) + ' without work'"
          ></i>
          <i
            v-if="moment"
            class="timeline-now is-past"
            :style="{ left: scale.place(moment) * lane + 'px' }"
          ></i>
          <i v-if="live" class="timeline-now" :style="{ left: scale.place(now) * lane + 'px' }"></i>
        </div>
        <ol class="timeline-rows">
          <li v-for="row in rows" :key="row.key" class="timeline-row">
            <div class="timeline-label">
              <b :title="row.title">{{ row.title }}</b><span class="quiet num">{{ row.fact }}</span>
            </div>
            <div class="timeline-lane">
              <component
                :is="bar.attempt ? 'a' : 'span'"
                v-for="bar in row.bars"
                :key="bar.key"
                v-bind="bar.attempt ? { href: href('/' + bar.attempt) } : { role: 'img' }"
                class="bar"
                :class="bar.classes"
                :style="{ left: bar.x + 'px', width: bar.width + 'px' }"
                :aria-label="bar.label"
                :title="bar.label"
                :data-attempt="bar.attempt"
                @click="open($event, bar)"
              >
                <i
                  v-for="wait in bar.waits"
                  :key="wait.x"
                  class="bar-wait"
                  :style="{ left: wait.x + 'px', width: wait.width + 'px' }"
                ></i>
                <Icon v-if="bar.width > 18" :name="bar.look.icon" /><span
                  v-if="bar.width > 44"
                  class="bar-word"
                  >{{ bar.word }}</span
                >
              </component>
            </div>
          </li>
        </ol>
      </div>
    </div>
  </div>`,
  setup(props, { emit }) {
    const box = ref(null);
    const room = ref(800);
    const zoom = ref(1);
    const compress = ref(true);
    const ready = ref(false);
    const problem = ref("");
    const spans = shallowRef([]);
    const known = createSpans(props.store.name);
    let last = 0;

    const live = computed(() => !RUN_ENDED.has(props.store.run.value.state));
    const lane = computed(() => Math.max(200, room.value) * zoom.value);
    // An ended run does not move.
    const time = computed(() => (live.value ? now.value : (props.store.run.value.ended ?? now.value)));
    const scale = computed(() => createScale(spans.value, time.value, compress.value));
    const axis = computed(() => ticks(scale.value, lane.value));
    const epicOf = (key) => props.store.epics.get(`${props.store.name}/epics/${key}`);
    const left = (key) => {
      const tasks = epicOf(key)?.tasks;
      return tasks ? tasks.pending + tasks.running + tasks.waiting : 0;
    };
    const critical = computed(() => criticalPath(spans.value, (key) => epicOf(key)?.depends_on ?? [], left));

    function bar(span) {
      const to = span.to ?? time.value;
      const x = scale.value.place(span.from) * lane.value;
      const width = Math.max(3, scale.value.place(to) * lane.value - x - 1);
      const task = props.store.tasks.get(`${props.store.name}/epics/${span.epic}/tasks/${span.task}`);
      const waits = span.waits.map((wait) => {
        const start = scale.value.place(wait.from) * lane.value - x;
        return {
          x: start,
          width: Math.max(2, scale.value.place(wait.to ?? time.value) * lane.value - x - start),
        };
      });
      const look = lookOf(span, task);
      const word =
        span.kind === "merge"
          ? look.word
          : `${task?.title ?? span.task}${span.number > 1 ? ` (${span.number})` : ""}`;
      const onPath = critical.value.has(span.key);
      const facts = [
        span.kind === "merge" ? "" : `attempt ${span.number}`,
        look.word,
        duration(to - span.from),
        waits.length
          ? `waited ${duration(span.waits.reduce((all, each) => all + (each.to ?? time.value) - each.from, 0))} for you`
          : "",
        onPath ? "on the critical path" : "",
        `from ${absolute(span.from)}`,
      ];
      return {
        key: span.key,
        kind: span.kind,
        to: span.to,
        attempt: span.attempt,
        x,
        width,
        waits,
        look,
        word,
        classes: [`tone-${look.tone}`, `is-${span.kind}`, { "is-critical": onPath, "is-live": !span.to }],
        label: [word, ...facts].filter(Boolean).join(", "),
      };
    }

    function lookOf(span, task) {
      if (span.kind === "merge") return MERGE[span.outcome];
      if (span.kind === "wait")
        return span.reason ? { word: span.reason, icon: "clock", tone: "wait" } : status(ATTEMPT, "waiting");
      // The board knows more about the newest attempt: that its checks run, or that it was stopped.
      const newest = task?.attempt?.name === span.key ? task.attempt.state : "";
      return status(ATTEMPT, newest && (span.to ? newest !== "running" : true) ? newest : span.outcome);
    }

    const rows = computed(() => {
      const byEpic = Map.groupBy(spans.value, (span) => span.epic ?? "");
      const out = [...props.store.epics.values()]
        .sort((a, b) => a.index - b.index)
        .map((epic) => ({
          key: epic.key,
          title: epic.title,
          fact:
            epic.state === "running"
              ? `${epic.tasks.accepted} of ${plural(epic.tasks.total, "task")}`
              : status(EPIC, epic.state).word,
          bars: (byEpic.get(epic.key) ?? []).map(bar),
        }));
      if (byEpic.has(""))
        out.push({ key: "", title: "Whole run", fact: "merge", bars: byEpic.get("").map(bar) });
      return out;
    });

    let reading = null;
    async function read() {
      problem.value = "";
      try {
        const news = await get(`${props.store.name}/turns?after=${last}`);
        // Another request may have been faster.
        news.turns.filter((turn) => turn.sequence > last).forEach(known.apply);
        last = Math.max(last, news.last);
        spans.value = [...known.spans.values()];
        ready.value = true;
      } catch (error) {
        problem.value = error.message;
      }
    }
    // Changes of tasks or epics change the timeline; a burst is fetched once.
    watch(
      () => [...props.store.tasks.values(), ...props.store.epics.values()],
      () =>
        (reading ??= setTimeout(() => {
          reading = null;
          read();
        }, 400)),
    );

    let atEnd = true;
    const noteEnd = () => (atEnd = box.value.scrollWidth - box.value.scrollLeft - box.value.clientWidth < 8);
    watch(scale, () => atEnd && nextTick(() => box.value && (box.value.scrollLeft = box.value.scrollWidth)));

    // The time at `x` pixels from the left edge of the lanes stays there.
    async function zoomTo(wanted, x = room.value / 2) {
      const before = lane.value;
      const place = (box.value.scrollLeft + x) / before;
      zoom.value = Math.min(MOST_ZOOM, Math.max(1, wanted < 1.05 ? 1 : wanted));
      atEnd = false;
      await nextTick();
      box.value.scrollLeft = place * lane.value - x;
      noteEnd();
    }
    function onWheel(event) {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const edge =
        box.value.querySelector(".timeline-lane").getBoundingClientRect().left + box.value.scrollLeft;
      zoomTo(zoom.value * Math.exp(-event.deltaY / 300), event.clientX - edge);
    }
    function onKey(event) {
      const wanted = { "+": zoom.value * 1.6, "=": zoom.value * 1.6, "-": zoom.value / 1.6, 0: 1 }[event.key];
      if (!wanted || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      zoomTo(wanted);
    }
    // The moment under the pointer. By keyboard, and at the end of a running bar, it is now.
    function momentOf(event, it) {
      if (!event.detail) return 0;
      const place =
        (event.clientX - box.value.querySelector(".timeline-lane").getBoundingClientRect().left) / lane.value;
      const moment = scale.value.timeAt(place);
      return !it.to && it.x + it.width - place * lane.value < 12 ? 0 : moment;
    }
    function open(event, it) {
      if (!it.attempt || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      emit("open", it.attempt, momentOf(event, it));
    }
    const tickTime = (tick) => (tick.seconds ? clockTime(tick.time) : clock(tick.time));

    const measure = () => {
      const label = box.value.querySelector(".timeline-label");
      const labelWidth = label && getComputedStyle(label).position === "sticky" ? label.offsetWidth : 0;
      room.value = box.value.clientWidth - labelWidth - 16;
    };
    const observer = new ResizeObserver(measure);
    watch([ready, () => rows.value.length], () => nextTick(() => box.value && measure()));
    onMounted(() => {
      observer.observe(box.value);
      read();
    });
    onUnmounted(() => {
      observer.disconnect();
      clearTimeout(reading);
    });
    return {
      axis,
      box,
      compress,
      duration,
      href,
      lane,
      live,
      MOST_ZOOM,
      noteEnd,
      now: time,
      onKey,
      onWheel,
      open,
      problem,
      read,
      ready,
      rows,
      scale,
      spans,
      tickTime,
      zoom,
      zoomTo,
    };
  },
};

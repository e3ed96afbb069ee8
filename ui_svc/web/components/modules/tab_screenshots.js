// Agents' screenshots: a gallery by task and time, one enlarged, or two compared.
import { computed, nextTick, ref, shallowRef, watch } from "vue";
import { apiUrl, get } from "./api.js";
import { absolute, bytes, clockTime } from "./format.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { ShotCompare } from "./shot_compare.js";
import { plain } from "./text.js";

export const Screenshots = {
  props: ["store", "attempt", "epic", "log", "live", "until"],
  components: { Empty, Icon, ShotCompare },
  template: /* HTML */ ` <div class="scroll" tabindex="0" aria-label="Screenshots">
    <div class="gallery-tools">
      <div class="choice" role="group" aria-label="Screenshots of">
        <button type="button" class="chip" :aria-pressed="!whole" @click="whole = false">This session</button
        ><button type="button" class="chip" :aria-pressed="whole" @click="whole = true">Whole epic</button>
      </div>
      <span class="grow"></span>
      <template v-if="marked.length"
        ><span class="quiet">{{ marked.length === 1 ? "Choose another to compare with" : "" }}</span
        ><button type="button" class="button small" @click="marked = []">
          Clear the selection
        </button></template
      >
    </div>
    <p v-if="problem" class="note is-bad" role="alert">
      {{ problem }} <button type="button" class="button small" @click="readEpic">Try again</button>
    </p>
    <section v-for="group in groups" :key="group.key" class="gallery-group">
      <h3 v-if="whole">
        {{ group.title }}<span class="quiet num">{{ group.word ? " · " + group.word : "" }}</span>
      </h3>
      <ul class="gallery">
        <li v-for="shot in group.shots" :key="shot.key" :class="{ 'is-marked': marked.includes(shot.key) }">
          <button
            type="button"
            class="shot"
            :aria-label="'Enlarge: ' + shot.caption"
            @click="enlarge(shots.indexOf(shot))"
          >
            <img :src="shot.url" :alt="shot.caption" loading="lazy" decoding="async" />
            <span class="shot-caption">{{ shot.caption }}</span>
            <span class="shot-facts num" :title="absolute(shot.time)"
              >{{ clockTime(shot.time) }} · {{ bytes(shot.size_bytes ?? 0) }}</span
            >
          </button>
          <button
            v-if="shots.length > 1"
            type="button"
            class="button small shot-mark"
            :aria-pressed="marked.includes(shot.key)"
            :aria-label="'Compare: ' + shot.caption"
            title="Compare with another"
            @click="mark(shot.key)"
          >
            <Icon name="columns" />
          </button>
        </li>
      </ul>
    </section>
    <div v-if="!ready" class="gallery" role="status" aria-label="Loading">
      <div v-for="n in 3" :key="n" class="skeleton shot"></div>
    </div>
    <Empty v-else-if="!shots.length" icon="image" title="No screenshots yet"
      ><p>
        <template v-if="live">They appear here as soon as the agent takes one.</template>
        <template v-else-if="whole">No session of this epic took one.</template>
        <template v-else>This session took none.</template>
      </p></Empty
    >
    <ShotCompare v-if="pair" :shots="pair" @close="marked = []" />
    <dialog
      ref="large"
      class="lightbox"
      aria-label="Screenshot"
      @click="onClick"
      @keydown="onKey"
      @cancel.stop
      @close.stop="at = -1"
    >
      <template v-if="shots[at]">
        <img :src="shots[at].url" :alt="shots[at].caption" />
        <div class="lightbox-bar">
          <button
            type="button"
            class="icon-button"
            :disabled="at === 0"
            aria-label="Previous screenshot"
            @click="move(-1)"
          >
            <Icon name="left" />
          </button>
          <span
            >{{ shots[at].caption }} <span class="num quiet">{{ at + 1 }} of {{ shots.length }}</span></span
          >
          <button
            type="button"
            class="icon-button"
            :disabled="at === shots.length - 1"
            aria-label="Next screenshot"
            @click="move(1)"
          >
            <Icon name="right" />
          </button>
          <button type="button" class="icon-button" aria-label="Close screenshot" @click="large.close()">
            <Icon name="cross" />
          </button>
        </div>
      </template>
    </dialog>
  </div>`,
  setup(props) {
    const large = ref(null);
    const at = ref(-1);
    const whole = ref(false);
    const marked = ref([]);
    const taken = shallowRef(null);
    const problem = ref("");

    const own = computed(
      () => (void props.log.version, props.log.shots.map((shot) => looked(shot, props.attempt))),
    );
    const shots = computed(() =>
      (whole.value ? (taken.value ?? []) : own.value).filter(
        (shot) => !props.until || shot.time <= props.until,
      ),
    );
    function looked(shot, attempt) {
      const [, task, number] = /^(.+)\/attempts\/(\d+)$/.exec(attempt);
      const title = props.store.tasks.get(task)?.title ?? task;
      return {
        ...shot,
        key: `${attempt} ${shot.sequence}`,
        attempt,
        title,
        word: Number(number) > 1 ? `attempt ${number}` : "",
        place: whole.value ? title : "",
        caption: plain(shot.caption ?? "") || "Screenshot",
        url: apiUrl(`${attempt}/artifacts/${shot.artifact}`),
      };
    }
    async function readEpic() {
      problem.value = "";
      try {
        const { turns } = await get(`${props.store.name}/turns?kinds=screenshot&epic=${props.epic.key}`);
        taken.value = turns.map((turn) =>
          looked(turn, `${props.epic.name}/tasks/${turn.task}/attempts/${turn.attempt}`),
        );
      } catch (error) {
        problem.value = error.message;
      }
    }
    // A new screenshot of this session belongs to the epic too.
    watch([whole, () => own.value.length], ([now]) => now && props.epic && readEpic());
    const groups = computed(() =>
      [...Map.groupBy(shots.value, (shot) => shot.attempt)].map(([key, of]) => ({
        key,
        title: of[0].title,
        word: of[0].word,
        shots: of,
      })),
    );
    const pair = computed(() => {
      const two = marked.value.map((key) => shots.value.find((shot) => shot.key === key)).filter(Boolean);
      return two.length === 2 ? two : null;
    });
    const mark = (key) =>
      (marked.value = marked.value.includes(key)
        ? marked.value.filter((each) => each !== key)
        : [...marked.value, key].slice(-2));

    async function enlarge(place) {
      at.value = place;
      await nextTick();
      large.value.showModal();
    }
    const move = (by) => (at.value = Math.min(shots.value.length - 1, Math.max(0, at.value + by)));
    function onKey(event) {
      // These keys do not reach the session.
      event.stopPropagation();
      if (event.key === "ArrowLeft") move(-1);
      if (event.key === "ArrowRight") move(1);
    }
    function onClick(event) {
      event.stopPropagation();
      if (event.target === large.value || event.target.tagName === "IMG") large.value.close();
    }
    return {
      absolute,
      at,
      bytes,
      clockTime,
      enlarge,
      groups,
      large,
      mark,
      marked,
      move,
      onClick,
      onKey,
      pair,
      problem,
      readEpic,
      ready: computed(() => (whole.value ? taken.value || problem.value : props.log.ready)),
      shots,
      whole,
    };
  },
};

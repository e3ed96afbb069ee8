// The preview of a plan: estimated time, order, and predicted conflicts.
import { computed } from "vue";
import { plural, roughly } from "./format.js";
import { Icon } from "./icons.js";

export const Outlook = {
  props: ["found"],
  components: { Icon },
  template: /* HTML */ ` <div class="outlook">
    <dl class="outlook-facts">
      <div>
        <dt>Estimated time</dt>
        <dd class="num">{{ length(it.makespan) }}</dd>
      </div>
      <div>
        <dt>Fastest possible</dt>
        <dd class="num">{{ length(it.lower_bound) }}</dd>
      </div>
      <div>
        <dt>Total work</dt>
        <dd class="num">{{ length(it.total) }}</dd>
      </div>
      <div>
        <dt>Max parallel</dt>
        <dd class="num">{{ most }} of {{ it.parallel }}</dd>
      </div>
    </dl>
    <p v-if="!it.in_seconds" class="quiet">
      No task has an <code>estimate</code>, so lengths are counted in tasks.
    </p>
    <section aria-label="Schedule">
      <h3>Schedule</h3>
      <ol class="plan-bars">
        <li v-for="epic in bars" :key="epic.key" :class="{ 'is-critical': epic.critical }">
          <span class="plan-epic" :title="epic.title"
            >{{ epic.title }}<Icon v-if="epic.critical" name="bolt"
          /></span>
          <span class="plan-track"
            ><i v-for="(span, place) in epic.spans" :key="place" :style="span.style" :title="span.title"></i
          ></span>
        </li>
      </ol>
      <p class="quiet plan-key">
        <Icon name="bolt" />Critical path: {{ path }} ({{ length(it.critical_length) }})
      </p>
    </section>
    <section v-if="it.waves.length > 1" aria-label="Waves">
      <h3>{{ plural(it.waves.length, "wave") }}</h3>
      <ol class="waves">
        <li v-for="(wave, place) in it.waves" :key="place">
          <b class="num">{{ place + 1 }}</b><span>{{ wave.map(title).join(", ") }}</span>
        </li>
      </ol>
    </section>
    <section aria-label="Predicted conflicts">
      <h3>Predicted conflicts</h3>
      <p v-if="!it.overlaps.length" class="quiet">
        <template v-if="silent">
          Not known: no epic declares <code>touches</code>, the paths that it will write.
        </template>
        <template v-else>None: no two epics that run in parallel declare the same paths.</template>
      </p>
      <ul v-else class="overlaps">
        <li v-for="(each, place) in it.overlaps" :key="place">
          <Icon name="merge" /><span
            ><b>{{ title(each.epic) }}</b> and <b>{{ title(each.other) }}</b>{{ " " }}
            <span class="quiet">both declare</span> <code>{{ each.glob }}</code
            ><template v-if="each.glob !== each.other_glob">
              / <code>{{ each.other_glob }}</code></template
            ></span
          >
        </li>
      </ul>
    </section>
  </div>`,
  setup(props) {
    const it = computed(() => props.found.outlook);
    const title = (key) => it.value.epics.find((epic) => epic.key === key)?.title ?? key;
    const length = (value) =>
      it.value.in_seconds ? roughly(value) : plural(Math.round(value * 10) / 10, "task");
    const bars = computed(() => {
      const whole = it.value.makespan || 1;
      const critical = new Set(it.value.critical_path);
      return it.value.epics.map((epic) => ({
        ...epic,
        critical: critical.has(epic.key),
        spans: epic.spans.map((span) => ({
          title: `${span.title}: ${length(span.to - span.from)}, starts after ${length(span.from)}`,
          style: {
            left: `${(100 * span.from) / whole}%`,
            width: `${(100 * (span.to - span.from)) / whole}%`,
          },
        })),
      }));
    });
    // The highest number that runs in parallel: below the limit where epics wait for each other.
    const most = computed(() => {
      const turns = it.value.epics.flatMap((epic) =>
        epic.spans.flatMap((span) => [
          [span.from, 1],
          [span.to, -1],
        ]),
      );
      turns.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      let now = 0;
      return turns.reduce((highest, [, by]) => Math.max(highest, (now += by)), 0);
    });
    return {
      bars,
      it,
      length,
      most,
      plural,
      title,
      path: computed(() => it.value.critical_path.map(title).join(" → ")),
      silent: computed(() => !it.value.touches),
    };
  },
};

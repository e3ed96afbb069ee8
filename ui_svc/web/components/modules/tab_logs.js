// The log of the session, line by line.
import { computed, onMounted, onUnmounted, ref, shallowRef, watch } from "vue";
import { apiUrl } from "./api.js";
import { absolute, clockTime, plural } from "./format.js";
import { Icon } from "./icons.js";
import { linkTo, readLink } from "./line_links.js";
import { LEVELS } from "./log_rows.js";
import { Empty } from "./parts.js";
import { lastOverwrite, plain } from "./text.js";
import { toast } from "./toasts.js";
import { placeOf, useRows } from "./virtual_rows.js";

const ROW = 20;
// The limit of one copy.
const MOST_COPIED = 5000;
// A longer line is cut in the list and shown in full below it.
const LINE = 2000;
const WHOLE_LINE = 200000;

export const Logs = {
  props: ["attempt", "log", "live"],
  components: { Empty, Icon },
  template: /* HTML */ ` <div class="logs">
    <div class="logs-tools">
      <div class="search">
        <Icon name="search" /><input
          ref="input"
          v-model="term"
          type="search"
          placeholder="Search"
          aria-label="Search in the log"
          @keydown.enter.prevent="go($event.shiftKey ? -1 : 1)"
          @keydown.esc="onEsc"
        />
        <span v-if="term" class="num search-count" role="status"
          >{{ hits.length ? hit + 1 + " of " + hits.length : "no match" }}</span
        >
        <button
          type="button"
          class="icon-button"
          :disabled="!hits.length"
          aria-label="Previous match"
          @click="go(-1)"
        >
          <Icon name="up" />
        </button>
        <button
          type="button"
          class="icon-button"
          :disabled="!hits.length"
          aria-label="Next match"
          @click="go(1)"
        >
          <Icon name="down" />
        </button>
      </div>
      <div class="levels" role="group" aria-label="Levels">
        <button
          v-for="level in LEVELS"
          :key="level.key"
          type="button"
          class="chip"
          :class="'level-' + level.key"
          :aria-pressed="!off.has(level.key)"
          @click="toggle(level.key)"
        >
          {{ level.word }}
        </button>
      </div>
      <select v-if="tools.length" v-model="tool" class="tool-filter" aria-label="Tool">
        <option value="">All tools</option>
        <option v-for="each in tools" :key="each" :value="each">{{ plain(each) }}</option>
      </select>
      <span class="grow"></span>
      <span class="num quiet"
        >{{ log.complete ? total.toLocaleString("en-US") + (total === 1 ? " line" : " lines") : "loading…"
        }}</span
      >
      <a class="button small" :href="apiUrl(attempt + '/log.txt')" download
        ><Icon name="download" />Download</a
      >
      <a
        class="button small"
        :href="apiUrl(attempt + '/log.jsonl')"
        download
        title="Every event, as JSON lines"
        >JSON</a
      >
    </div>
    <p v-if="log.problem" class="note is-bad" role="alert">{{ log.problem }}</p>
    <p v-if="log.keptFrom > 1" class="note">
      {{ log.events.length ? "The beginning of this log" : "This log" }} is no longer kept: it is older than
      HEDDLE_KEEP_LOGS allows.
    </p>
    <p v-if="log.cut" class="note">Only the newest lines are shown. The download has all of them.</p>
    <div
      ref="box"
      class="rows-box"
      tabindex="0"
      role="log"
      aria-live="off"
      aria-label="Log"
      @scroll.passive="onScroll"
      @keydown="onKey"
    >
      <div class="rows-space" :style="{ height: list.length * ROW + 'px' }">
        <div class="rows-window" :style="{ transform: 'translateY(' + start * ROW + 'px)' }">
          <div
            v-for="(row, place) in window"
            :key="row.key"
            class="log-row"
            :class="looks(row, start + place)"
            @click="pick(row, $event.shiftKey)"
          >
            <span class="log-time num" :title="absolute(row.time)">{{ clockTime(row.time) }}</span
            ><span class="log-who">{{ row.who }}</span
            ><span class="log-text"
              ><template v-for="(part, at) in marked(row)" :key="at"
                ><mark v-if="at % 2">{{ part }}</mark><template v-else>{{ part }}</template></template
              ></span
            >
          </div>
        </div>
      </div>
      <div v-if="!log.ready" class="skeleton-lines" role="status" aria-label="Loading">
        <i></i><i></i><i></i>
      </div>
      <Empty
        v-else-if="!list.length"
        icon="terminal"
        :title="total ? 'No matching lines' : 'Nothing was logged yet'"
        ><p>
          <template v-if="total">Turn on more levels.</template>
          <template v-else-if="live">Lines appear here as they are written.</template>
          <template v-else-if="log.keptFrom > 1">Its log is no longer kept.</template>
          <template v-else>This session wrote nothing.</template>
        </p></Empty
      >
    </div>
    <div class="follow-place">
      <button v-if="!following && list.length" type="button" class="button small follow" @click="toEnd">
        <Icon name="down" />{{ fresh ? fresh.toLocaleString("en-US") + " new" : "Newest" }}
      </button>
    </div>
    <div v-if="picked.length" class="picked" role="group" aria-label="Selected lines">
      <pre tabindex="0">{{ text.slice(0, 200000) }}</pre>
      <div class="picked-tools">
        <button
          type="button"
          class="button small"
          title="Shift-click another line to select all lines between them"
          @click="copy(raw, picked.length > 1 ? 'Lines copied' : 'Line copied')"
        >
          <Icon name="copy" />{{ picked.length > 1 ? "Copy " + plural(picked.length, "line") : "Copy line" }}</button
        ><button type="button" class="button small" @click="copy(address(), 'Link copied')">
          <Icon name="link" />Copy link</button
        ><button type="button" class="icon-button" aria-label="Clear the selection" @click="unpick">
          <Icon name="cross" />
        </button>
      </div>
    </div>
  </div>`,
  setup(props) {
    const input = ref(null);
    const term = ref("");
    const off = ref(new Set());
    const tool = ref("");
    // Keys of the first and last selected line; 0 if none is.
    const from = ref(0);
    const to = ref(0);
    const hit = ref(-1);
    const hits = shallowRef([]);

    const list = computed(() => {
      void props.log.version;
      const rows = props.log.rows;
      if (!off.value.size && !tool.value) return rows.slice();
      const { calls } = props.log;
      return rows.filter(
        (row) => !off.value.has(row.level) && (!tool.value || calls.get(row.call)?.name === tool.value),
      );
    });
    const tools = computed(
      () => (
        void props.log.version,
        [...new Set([...props.log.calls.values()].map((call) => call.name))].sort()
      ),
    );
    const rows = useRows(list, ROW);
    const clean = (row) => plain(lastOverwrite(row.text.slice(0, WHOLE_LINE)));

    const looks = (row, place) => [
      `level-${row.level}`,
      {
        "is-nested": row.nested,
        "is-hit": place === hits.value[hit.value],
        "is-picked": row.key >= from.value && row.key <= to.value,
      },
    ];
    // Pieces of the line; every second one is a match.
    function marked(row) {
      const text = plain(lastOverwrite(row.text.slice(0, LINE)));
      const wanted = term.value.toLowerCase();
      if (!wanted) return [text];
      const parts = [];
      const lower = text.toLowerCase();
      let end = 0;
      for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, end)) {
        parts.push(text.slice(end, at), text.slice(at, at + wanted.length));
        end = at + wanted.length;
      }
      return [...parts, text.slice(end)];
    }

    function search() {
      const wanted = term.value.toLowerCase();
      const found = [];
      // Colour codes may be within a word.
      const text = (row) => (row.text.includes("\x1b") ? plain(row.text) : row.text).toLowerCase();
      if (wanted) list.value.forEach((row, place) => text(row).includes(wanted) && found.push(place));
      hits.value = found;
    }
    watch(term, () => {
      search();
      hit.value = hits.value.length - 1;
      if (hit.value >= 0) rows.show(hits.value[hit.value]);
    });
    // A growing log is searched again, at most three times a second.
    let due = null;
    watch(list, () => {
      if (!term.value || due) return;
      due = setTimeout(() => {
        due = null;
        const place = hits.value[hit.value];
        search();
        hit.value = Math.max(hits.value.indexOf(place), hits.value.length ? 0 : -1);
      }, 333);
    });
    function go(by) {
      if (!hits.value.length) return;
      hit.value = (hit.value + by + hits.value.length) % hits.value.length;
      rows.show(hits.value[hit.value]);
    }
    function onEsc(event) {
      // The first Esc clears the field, the second closes the session.
      if (!term.value) return;
      event.preventDefault();
      event.stopPropagation();
      term.value = "";
    }
    function toggle(level) {
      const next = new Set(off.value);
      if (!next.delete(level)) next.add(level);
      off.value = next;
    }
    function onKey(event) {
      if (event.key === "/" || ((event.ctrlKey || event.metaKey) && event.key === "f")) {
        event.preventDefault();
        input.value.focus();
      }
    }

    const picked = computed(() =>
      from.value
        ? list.value
            .slice(placeOf(list.value, from.value), placeOf(list.value, to.value + 1e-9))
            .slice(0, MOST_COPIED)
        : [],
    );
    const raw = computed(() => picked.value.map((row) => row.text).join("\n"));
    const address = () => location.href.replace(/#.*/, "") + linkTo(from.value, to.value);
    function pick(row, further) {
      const start = further && from.value ? from.value : row.key;
      [from.value, to.value] = [Math.min(start, row.key), Math.max(start, row.key)];
      history.replaceState(history.state, "", linkTo(from.value, to.value));
    }
    function unpick() {
      from.value = to.value = 0;
      history.replaceState(history.state, "", location.pathname + location.search);
    }
    // A selected line whose beginning is loaded later gets the key of the beginning.
    watch(
      () => props.log.rows,
      (all) => {
        const keyNow = (key) => all[placeOf(all, key + 1e-9) - 1]?.key ?? key;
        const [first, last] = [keyNow(from.value), keyNow(to.value)];
        if (!from.value || (first === from.value && last === to.value)) return;
        [from.value, to.value] = [first, last];
        history.replaceState(history.state, "", linkTo(first, last));
      },
    );
    // The line in the address is shown once it is loaded.
    let wanted = null;
    function seek() {
      const first = props.log.rows[0]?.key;
      if (!wanted || !props.log.ready || (first > wanted.from && !props.log.complete)) return;
      const place = placeOf(list.value, wanted.from);
      if (place < list.value.length) {
        [from.value, to.value] = [wanted.from, wanted.to];
        rows.show(place);
      } else toast("The linked line is not loaded yet.", "bad");
      wanted = null;
    }
    const readHash = () => {
      wanted = readLink(location.hash);
      seek();
    };
    watch(list, seek, { flush: "post" });
    onMounted(() => {
      readHash();
      addEventListener("hashchange", readHash);
    });
    onUnmounted(() => removeEventListener("hashchange", readHash));

    async function copy(text, done) {
      try {
        await navigator.clipboard.writeText(text);
        toast(done);
      } catch {
        toast("The browser does not allow copying here; select the line and copy it.", "bad");
      }
    }
    return {
      absolute,
      address,
      apiUrl,
      clockTime,
      copy,
      from,
      go,
      hit,
      hits,
      input,
      LEVELS,
      list,
      looks,
      marked,
      off,
      onEsc,
      onKey,
      pick,
      picked,
      plain,
      plural,
      raw,
      ROW,
      term,
      to,
      toggle,
      tool,
      tools,
      unpick,
      text: computed(() => picked.value.map(clean).join("\n")),
      total: computed(() => (void props.log.version, props.log.rows.length)),
      ...rows,
    };
  },
};

// A check's reports: new failures first, then fixed ones, coverage and findings.
import { computed } from "vue";
import { plural } from "./format.js";
import { plain } from "./text.js";

const percent = ({ covered, valid }) => (valid ? `${((100 * covered) / valid).toFixed(1)} %` : "–");
export const signed = (value, digits = 0) =>
  `${value > 0 ? "+" : value < 0 ? "−" : "±"}${Math.abs(value).toFixed(digits)}`;

export const Evidence = {
  props: ["check", "since"],
  template: /* HTML */ ` <div v-if="lists.length || facts.length || check.problems?.length" class="evidence">
    <p v-if="facts.length" class="evidence-facts num">
      <span v-for="fact in facts" :key="fact.word" :class="fact.tone"
        ><b>{{ fact.word }}</b> {{ fact.text }}</span
      >
    </p>
    <section v-for="list in lists" :key="list.title">
      <h4 :class="list.tone">{{ list.title }} <span class="num quiet">{{ list.names.length }}</span></h4>
      <ul>
        <li v-for="name in list.names" :key="name"><code>{{ plain(name) }}</code></li>
      </ul>
    </section>
    <section v-if="check.first_findings?.length">
      <h4>Findings</h4>
      <ul class="findings">
        <li v-for="(each, place) in check.first_findings" :key="place">
          <b :class="each.level === 'error' ? 'tone-bad-text' : ''">{{ each.level }}</b>{{ " " }}
          <code v-if="each.file">{{ plain(each.file) }}{{ each.line ? ":" + each.line : "" }}</code> {{
          plain(each.message ?? "") }} <span v-if="each.rule" class="quiet">{{ plain(each.rule) }}</span>
        </li>
      </ul>
    </section>
    <p v-for="problem in check.problems ?? []" :key="problem" class="note is-bad">{{ plain(problem) }}</p>
  </div>`,
  setup(props) {
    const change = computed(() => props.since?.checks[props.check.name]);
    const lists = computed(() => {
      const failing = props.check.failing ?? [];
      const began = change.value?.began;
      const fresh = new Set(began ?? []);
      return [
        { title: "New failures", tone: "tone-bad-text", names: began ?? [] },
        { title: "No longer failing", tone: "tone-ok-text", names: change.value?.ceased ?? [] },
        {
          title: began ? "Still failing" : "Failing",
          tone: "",
          names: failing.filter((name) => !fresh.has(name)),
        },
      ].filter((list) => list.names.length);
    });
    const facts = computed(() => {
      const { tests, coverage, findings } = props.check;
      const against = (value, digits) =>
        value === null || value === undefined ? "" : ` (${signed(value, digits)})`;
      const all = [];
      if (tests)
        all.push({
          word: "Tests",
          text: [
            `${tests.passed} passed${against(change.value?.passed)}`,
            `${tests.failed} failed`,
            `${tests.skipped} skipped`,
          ].join(", "),
        });
      if (coverage)
        all.push({
          word: "Coverage",
          text: `${percent(coverage)}${against(change.value?.coverage, 1)} of ${plural(coverage.valid, "line")}`,
          tone: change.value?.coverage < 0 ? "tone-bad-text" : "",
        });
      if (findings)
        all.push({
          word: "Findings",
          text: [
            plural(findings.errors, "error"),
            plural(findings.warnings, "warning"),
            plural(findings.notes, "note") + against(change.value?.findings),
          ].join(", "),
        });
      return all;
    });
    return { facts, lists, plain };
  },
};

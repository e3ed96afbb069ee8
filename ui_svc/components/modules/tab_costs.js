// Tokens and money: of this session, and of all that it belongs to.
import { computed } from "vue";
import { count, money } from "./format.js";

const KINDS = [
  { key: "input", word: "Input" },
  { key: "output", word: "Output" },
  { key: "cache_read", word: "Cache read" },
  { key: "cache_write", word: "Cache write" },
];

const sum = (usages) =>
  usages.reduce(
    (all, each) => ({
      input: all.input + each.input,
      output: all.output + each.output,
      cache_read: all.cache_read + each.cache_read,
      cache_write: all.cache_write + each.cache_write,
      cost: all.cost + each.cost,
      cost_incomplete: all.cost_incomplete || each.cost_incomplete,
    }),
    { input: 0, output: 0, cache_read: 0, cache_write: 0, cost: 0, cost_incomplete: false },
  );

export const Costs = {
  props: ["store", "attempt", "task", "epic", "shown", "details", "live"],
  template: `
    <div class="scroll costs" tabindex="0" aria-label="Costs">
      <div class="scopes">
        <div v-for="scope in scopes" :key="scope.word" class="scope"><span class="scope-word">{{ scope.word }}</span><b class="num">{{ scope.usage.cost || scope.usage.cost_incomplete ? money(scope.usage) : "$0.00" }}</b><span class="quiet num">{{ count(tokens(scope.usage)) }} tokens</span></div>
      </div>
      <p v-if="scopes.some((scope) => scope.usage.cost_incomplete)" class="note">Some prices are unknown, so a total marked ≥ is the least that was spent.</p>
      <h3>Tokens</h3>
      <table class="figures">
        <thead><tr><th></th><th v-for="scope in scopes" :key="scope.word" class="right">{{ scope.word }}</th></tr></thead>
        <tbody><tr v-for="kind in KINDS" :key="kind.key"><th scope="row">{{ kind.word }}</th><td v-for="scope in scopes" :key="scope.word" class="num right">{{ scope.usage[kind.key].toLocaleString("en-US") }}</td></tr></tbody>
      </table>
      <h3>By model, in this session</h3>
      <table v-if="models.length" class="figures">
        <thead><tr><th>Model</th><th v-for="kind in KINDS" :key="kind.key" class="right">{{ kind.word }}</th><th class="right">Cost</th></tr></thead>
        <tbody><tr v-for="each in models" :key="each.model"><th scope="row">{{ each.model || "not named" }}</th><td v-for="kind in KINDS" :key="kind.key" class="num right">{{ each[kind.key].toLocaleString("en-US") }}</td><td class="num right">{{ money(each) }}</td></tr></tbody>
      </table>
      <p v-else class="quiet">The agent has not reported any usage{{ live ? " yet" : "" }}.</p>
    </div>`,
  setup(props) {
    const empty = sum([]);
    const session = computed(() => {
      const summary = props.task && props.store.summaries.get(props.task.name);
      if (props.live && summary?.attempt === props.attempt) return summary.usage;
      return props.shown?.usage ?? empty;
    });
    const scopes = computed(() => {
      const others = props.details.attempts.filter((each) => props.task && each.name.startsWith(`${props.task.name}/`) && each.name !== props.attempt);
      return [
        { word: "This session", usage: session.value },
        { word: "Task", usage: sum([session.value, ...others.map((each) => each.usage)]) },
        { word: "Epic", usage: props.epic?.usage ?? empty },
        { word: "Run", usage: props.store.run.value?.usage ?? empty },
      ];
    });
    const tokens = (usage) => KINDS.reduce((all, kind) => all + usage[kind.key], 0);
    return { count, KINDS, money, scopes, tokens, models: computed(() => session.value.models ?? []) };
  },
};

// The same costs by model.
import { computed } from "vue";
import { count, money } from "./format.js";

export const ModelCosts = {
  props: ["models"],
  template: /* HTML */ ` <section aria-label="By model">
    <h2>By model</h2>
    <p v-if="!sorted.length" class="quiet">No agent has reported its usage.</p>
    <div v-else class="report-table">
      <table class="figures">
        <thead>
          <tr>
            <th>Model</th>
            <th class="right">Input</th>
            <th class="right">Output</th>
            <th class="right">Cached</th>
            <th class="right">Cost</th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="each in sorted" :key="each.model">
            <th scope="row">{{ each.model || "unknown" }}</th>
            <td class="num right">{{ count(each.input) }}</td>
            <td class="num right">{{ count(each.output) }}</td>
            <td class="num right">{{ count(each.cache_read + each.cache_write) }}</td>
            <td class="num right">{{ money(each) }}</td>
          </tr>
        </tbody>
      </table>
    </div>
  </section>`,
  setup: (props) => ({
    count,
    money,
    sorted: computed(() => [...props.models].sort((a, b) => b.cost - a.cost)),
  }),
};

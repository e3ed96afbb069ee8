// The options of a run: agent, parallelism, base, target branch, budget.
import { computed, onMounted, ref } from "vue";
import { get } from "./api.js";

export const Options = {
  // {agentKind, command, parallel, base, into, dollars}
  props: ["options"],
  emits: ["slots"],
  template: /* HTML */ ` <fieldset class="options">
    <legend class="label">Options</legend>
    <label class="field"
      ><span class="label">Agent</span
      ><select v-model="options.agentKind" name="agent">
        <option value="">From the plan</option>
        <option v-for="each in agents" :key="each.name" :value="each.name" :disabled="!each.available">
          {{ each.name === "command:" ? "A command…" : each.name }}{{ each.available ? "" : " (not installed)"
          }}
        </option>
      </select></label
    >
    <label v-if="options.agentKind === 'command:'" class="field grow"
      ><span class="label">Command</span
      ><input v-model.trim="options.command" class="mono" required placeholder="my-agent --auto"
    /></label>
    <label class="field narrow"
      ><span class="label">Max parallel agents</span
      ><input
        v-model.number="options.parallel"
        type="number"
        name="parallel"
        min="1"
        max="500"
        :placeholder="slots ? 'all ' + slots + ' slots' : 'all slots'"
    /></label>
    <label class="field narrow"
      ><span class="label">Budget, US$</span
      ><input
        v-model.number="options.dollars"
        type="number"
        name="budget"
        min="0.01"
        step="any"
        :placeholder="planned"
    /></label>
    <label class="field"
      ><span class="label">Start from</span
      ><input
        v-model.trim="options.base"
        class="mono"
        name="base"
        placeholder="HEAD"
        spellcheck="false"
        autocapitalize="off"
    /></label>
    <label class="field"
      ><span class="label">Merge into</span
      ><input
        v-model.trim="options.into"
        class="mono"
        name="into"
        placeholder="(none)"
        spellcheck="false"
        autocapitalize="off"
    /></label>
  </fieldset>`,
  setup(props, { emit }) {
    const workers = ref([]);
    const agents = computed(() => [
      ...new Map(
        workers.value
          .filter((worker) => worker.connected)
          .flatMap((worker) => worker.agents.map((agent) => [agent.name, agent])),
      ).values(),
    ]);
    const slots = computed(() => Math.max(0, ...workers.value.map((worker) => worker.slots)));
    onMounted(async () => {
      workers.value = await get("workers").catch(() => []);
      emit("slots", slots.value);
    });
    return {
      agents,
      planned: computed(() =>
        props.options.planned ? (props.options.planned / 1e6).toFixed(2) : "no limit",
      ),
      slots,
    };
  },
};

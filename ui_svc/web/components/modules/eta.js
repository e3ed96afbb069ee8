// The time that a run still needs, from its forecast; counts down between two forecasts.
import { computed } from "vue";
import { now } from "./clock.js";
import { absolute, clock, plural, roughly } from "./format.js";
import { RUN_ENDED } from "./status.js";

export function useEta(run) {
  const left = computed(() => {
    const forecast = run().forecast;
    if (RUN_ENDED.has(run().state) || forecast?.remaining == null) return null;
    // A paused run makes no progress.
    const passed = run().state === "paused" ? 0 : (now.value - forecast.at) / 1000;
    return Math.max(0, forecast.remaining - passed);
  });
  return {
    left,
    text: computed(() => {
      if (left.value === null) return "";
      if (run().state === "paused") return `~${roughly(left.value)} after it resumes`;
      return left.value < 1 ? "nearly done" : `~${roughly(left.value)} left`;
    }),
    title: computed(() => {
      const forecast = run().forecast;
      if (left.value === null) return "";
      const basis = forecast.measured
        ? `estimated from ${plural(forecast.measured, "task")} done so far`
        : "estimated by the plan";
      const end =
        run().state === "paused"
          ? ""
          : `Ends about ${clock(now.value + left.value * 1000)} (${absolute(now.value + left.value * 1000)}); `;
      return `${end}${basis}. Fastest possible: ${roughly(forecast.at_least)}.`;
    }),
  };
}

export const Eta = {
  props: ["run"],
  template: /* HTML */ `<span v-if="text" class="num eta" :title="title">{{ text }}</span>`,
  setup: (props) => useEta(() => props.run),
};

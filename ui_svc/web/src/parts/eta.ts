// The time that a run still needs, from its forecast; counts down between two forecasts.
import { computed } from "vue";
import { now } from "../browser/clock";
import { absolute, clock, plural, roughly } from "../model/format";
import { RUN_ENDED } from "../model/status";
import type { Run } from "../model/types";

export function useEta(run: () => Pick<Run, "forecast" | "state">) {
  const left = computed(() => {
    const forecast = run().forecast;
    if (RUN_ENDED.has(run().state) || !forecast || forecast.remaining === null) return null;
    // A paused run makes no progress.
    const passed = run().state === "paused" ? 0 : (now.value - forecast.at) / 1000;
    return Math.max(0, forecast.remaining - passed, forecast.after_operator ?? 0);
  });
  // Whether all that is left starts only after the operator has acted: it does not pass while time does.
  const held = computed(() => left.value !== null && left.value === run().forecast?.after_operator);
  return {
    left,
    text: computed(() => {
      if (left.value === null) return "";
      if (run().state === "paused") return `~${roughly(left.value)} after it resumes`;
      if (held.value) return left.value < 1 ? "waiting for you" : `~${roughly(left.value)} after you act`;
      return left.value < 1 ? "nearly done" : `~${roughly(left.value)} left`;
    }),
    title: computed(() => {
      const forecast = run().forecast;
      if (left.value === null || !forecast) return "";
      const basis = forecast.measured
        ? `estimated from ${plural(forecast.measured, "task")} done so far`
        : "estimated by the plan";
      const end =
        run().state === "paused" || held.value
          ? ""
          : `Ends about ${clock(now.value + left.value * 1000)} (${absolute(now.value + left.value * 1000)}); `;
      return `${end}${basis}. Fastest possible: ${roughly(forecast.at_least ?? 0)}.`;
    }),
  };
}

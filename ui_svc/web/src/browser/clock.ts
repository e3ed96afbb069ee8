// One clock for all elapsed times on the page.
import { ref } from "vue";

export const now = ref(Date.now());

// Whether the page may be out of date: its clocks then do not claim that anything continues.
export const frozen = ref(false);

const tick = () => {
  if (!document.hidden && !frozen.value) now.value = Date.now();
};

setInterval(tick, 1000);

document.addEventListener("visibilitychange", tick);

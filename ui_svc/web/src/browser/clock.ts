// One clock for all elapsed times on the page.
import { ref } from "vue";

export const now = ref(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

document.addEventListener("visibilitychange", () => (now.value = Date.now()));

// One clock for everything on the page that counts up.
import { ref } from "vue";

export const now = ref(Date.now());

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => (now.value = Date.now()));

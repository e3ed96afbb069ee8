// Items that wait for the operator, over all runs. Every page shows their number in its bar and title.
import { computed, reactive, ref, shallowRef, watchEffect } from "vue";
import { post } from "./api.js";
import { follow } from "./follow.js";
import { href } from "./paths.js";

const KEPT = "heddle-dismissed";
// Dismissed failures; older ones are no longer listed anyway.
const MOST_KEPT = 500;

// Items that block work until they are answered cannot be dismissed.
const WAITS = new Set(["question", "budget", "provider"]);

const all = shallowRef([]);
// Model providers that are on hold.
const holds = shallowRef([]);
const dismissed = ref(readDismissed());
// Answers that have not taken effect yet, by item: "allowing", "denying".
const pending = reactive(new Map());

export const items = computed(() =>
  all.value.filter((item) => WAITS.has(item.kind) || !dismissed.value.has(item.key)),
);

// The title of the page itself.
export const pageTitle = ref("Heddle");

let link = null;

export function useAttention() {
  link ??= begin();
  return {
    items,
    holds,
    pending,
    status: link.status,
    waits: (item) => WAITS.has(item.kind),
    answer,
    dismiss,
  };
}

function begin() {
  watchEffect(() => {
    const count = items.value.length;
    document.title = (count ? `(${count}) ` : "") + pageTitle.value;
  });
  addEventListener("storage", (event) => event.key === KEPT && (dismissed.value = readDismissed()));
  let known = null;
  const take = (news) => {
    if (!news.items) return;
    all.value = news.items;
    holds.value = news.holds ?? [];
    const asked = news.items.filter((item) => WAITS.has(item.kind));
    const keys = new Set(asked.map((item) => item.key));
    for (const key of pending.keys()) if (!keys.has(key)) pending.delete(key);
    // Items that were there when the page opened are not new.
    if (known) asked.filter((item) => !known.has(item.key)).forEach(notify);
    known = keys;
  };
  return follow({
    ask: "heddle_look_at_attention",
    event: "heddle_attention",
    room: "attention",
    onSnapshot: take,
    onFrame: take,
  });
}

async function answer(item, approved, message, scope) {
  pending.set(item.key, approved ? "allowing" : "denying");
  try {
    await post(`${item.attempt}:resolve`, { approval_id: item.id, approved, message, scope });
  } catch (problem) {
    pending.delete(item.key);
    throw problem;
  }
}

function dismiss(item) {
  const kept = [...readDismissed(), item.key].slice(-MOST_KEPT);
  localStorage.setItem(KEPT, JSON.stringify(kept));
  dismissed.value = new Set(kept);
}

function readDismissed() {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
  } catch {
    return new Set();
  }
}

// A visible page needs no notification; the browser shows one for all its tabs.
function notify(item) {
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  const words =
    item.kind !== "question"
      ? [`${item.title} is paused`, item.reason]
      : [`${item.title} has a question`, item.question];
  const shown = new Notification(words[0], { body: words[1], tag: item.key });
  shown.onclick = () => {
    window.focus();
    location.assign(href(`/${item.attempt ?? item.run}`));
  };
}

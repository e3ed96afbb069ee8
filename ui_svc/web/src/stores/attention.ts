// Items that wait for the operator, over all runs. Every page shows their number in its bar and title.
import { computed, reactive, ref, shallowRef, watchEffect } from "vue";
import { post } from "../browser/api";
import { follow, type News } from "../browser/follow";
import { href } from "../browser/paths";
import type { AttentionItem, Hold } from "../model/types";

const KEPT = "heddle-dismissed";

// When each snoozed item comes back, by its key.
const SNOOZED = "heddle-snoozed";

const SNOOZE = 3_600_000;

// Dismissed failures; older ones are no longer listed anyway.
const MOST_KEPT = 500;

// What a notification says of an item's title, by kind.
const NEWS: Record<string, string> = {
  question: "has a question",
  budget: "is paused",
  provider: "is paused",
};

const all = shallowRef<AttentionItem[]>([]);

// Model providers that are on hold.
const holds = shallowRef<Hold[]>([]);

const dismissed = ref(readDismissed());

const asleep = ref(readSnoozed());

// Answers that have not taken effect yet, by item: "allowing", "denying".
const pending = reactive(new Map<string, string>());

// Items that wait, because they block work, cannot be dismissed.
export const items = computed(() => all.value.filter((item) => item.waits || !dismissed.value.has(item.key)));

// Without those that the operator has snoozed in this browser.
const shown = computed(() => items.value.filter((item) => !asleep.value[item.key]));

const snoozed = computed(() => items.value.length - shown.value.length);

// The title of the page itself.
export const pageTitle = ref("Heddle");

let link: ReturnType<typeof follow> | null = null;

export type Attention = ReturnType<typeof useAttention>;

export function useAttention() {
  link ??= begin();
  return {
    items,
    holds,
    pending,
    status: link.status,
    shown,
    snoozed,
    answer,
    dismiss,
    dismissAll,
    snooze,
    wake,
  };
}

function begin() {
  watchEffect(() => {
    const count = shown.value.length;
    document.title = (count ? `(${count}) ` : "") + pageTitle.value;
  });
  addEventListener("storage", (event) => {
    if (event.key === KEPT) dismissed.value = readDismissed();
    if (event.key === SNOOZED) asleep.value = readSnoozed();
  });
  // The next one that comes back.
  watchEffect((onCleanup) => {
    const next = Math.min(...Object.values(asleep.value));
    if (!Number.isFinite(next)) return;
    const timer = setTimeout(() => (asleep.value = readSnoozed()), Math.max(0, next - Date.now()) + 50);
    onCleanup(() => clearTimeout(timer));
  });
  let known: Set<string> | null = null;
  const take = (news: News) => {
    if (!news.items) return;
    all.value = news.items;
    holds.value = news.holds ?? [];
    const asked = all.value.filter((item) => item.waits);
    const keys = new Set(asked.map((item) => item.key));
    for (const key of pending.keys()) if (!keys.has(key)) pending.delete(key);
    // Items that were there when the page opened are not new.
    const before = known;
    if (before) asked.filter((item) => !before.has(item.key)).forEach(notify);
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

async function answer(item: AttentionItem, approved: boolean, message: string, scope: string) {
  pending.set(item.key, approved ? "allowing" : "denying");
  try {
    await post(`${item.attempt}:resolve`, { approval_id: item.id, approved, message, scope });
  } catch (problem) {
    pending.delete(item.key);
    throw problem;
  }
}

const dismiss = (item: AttentionItem) => dismissAll([item]);

function dismissAll(all: AttentionItem[]) {
  const kept = [...readDismissed(), ...all.map((item) => item.key)].slice(-MOST_KEPT);
  localStorage.setItem(KEPT, JSON.stringify(kept));
  dismissed.value = new Set(kept);
}

function readDismissed(): Set<string> {
  try {
    return new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));
  } catch {
    return new Set();
  }
}

function snooze(item: AttentionItem) {
  keepSnoozed({ ...readSnoozed(), [item.key]: Date.now() + SNOOZE });
}

const wake = () => keepSnoozed({});

function keepSnoozed(all: Record<string, number>) {
  localStorage.setItem(SNOOZED, JSON.stringify(all));
  asleep.value = all;
}

// Returns those that are not over.
function readSnoozed(): Record<string, number> {
  try {
    const all: [string, number][] = Object.entries(JSON.parse(localStorage.getItem(SNOOZED) ?? "{}"));
    return Object.fromEntries(all.filter(([, until]) => until > Date.now()));
  } catch {
    return {};
  }
}

// A visible page needs no notification; the browser shows one for all its tabs.
function notify(item: AttentionItem) {
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  const says = NEWS[item.kind] ?? "is waiting";
  const notice = new Notification(`${item.title} ${says}`, {
    body: item.question ?? item.reason,
    tag: item.key,
  });
  notice.onclick = () => {
    window.focus();
    location.assign(href(`/${item.attempt ?? item.run}`));
  };
}

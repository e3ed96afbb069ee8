// Filter and order of the runs, stored in the page's address.
import { computed, reactive, watch } from "vue";
import { RUN_ENDED } from "../model/status";
import type { Run } from "../model/types";

interface State {
  key: string;
  word: string;
  tone?: string;
  icon?: string;
  of: (run: Run) => boolean;
}

interface Order {
  key: string;
  word: string;
  by: (a: Run, b: Run) => number;
}

export const PAGE = 50;

export const STATES: State[] = [
  { key: "", word: "All", of: () => true },
  { key: "waiting", word: "Waiting for you", tone: "wait", icon: "hand", of: (run) => run.tasks.waiting > 0 },
  { key: "active", word: "Active", tone: "run", icon: "play", of: (run) => !RUN_ENDED.has(run.state) },
  { key: "failed", word: "Failed", tone: "bad", icon: "cross", of: (run) => run.state === "failed" },
  { key: "succeeded", word: "Succeeded", tone: "ok", icon: "check", of: (run) => run.state === "succeeded" },
  {
    key: "cancelled",
    word: "Cancelled",
    tone: "quiet",
    icon: "stop",
    of: (run) => run.state === "cancelled",
  },
];

// The filters that people choose from what the runs have.
export const FACETS = [
  { key: "project", label: "Repository", all: "All repositories", of: (run: Run) => run.project },
  { key: "by", label: "Person", all: "Everyone", of: (run: Run) => run.creator },
] as const;

export interface Choice {
  q: string;
  state: string;
  project: string;
  by: string;
  sort: string;
  page: number;
}

export const NO_FILTER = { q: "", state: "", project: "", by: "" };

// Returns the choice as a query string.
export function queryOf(choice: Choice, withPage = true): string {
  const kept = Object.entries(choice).filter(
    ([key, value]) => value && !(key === "page" && (value === 1 || !withPage)),
  );
  return new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
}

// Returns the choice of a query string; what it does not name, or names wrongly, is not filtered.
export function choiceOf(text: string): Choice {
  const query = new URLSearchParams(text);
  const known = (table: { key: string }[], key: string | null) =>
    table.find((each) => each.key === key)?.key ?? "";
  return {
    q: query.get("q") ?? "",
    state: known(STATES, query.get("state")),
    project: query.get("project") ?? "",
    by: query.get("by") ?? "",
    sort: known(ORDERS, query.get("sort")),
    page: Math.max(1, Number.parseInt(query.get("page") ?? "", 10) || 1),
  };
}

const need = (run: Run) => (run.tasks.waiting ? 2 : RUN_ENDED.has(run.state) ? 0 : 1);

const newest = (a: Run, b: Run) => b.created - a.created;

const length = (run: Run) => (run.started ? (run.ended ?? Date.now()) - run.started : 0);

// Runs that have ended or have no forecast come last.
const left = (run: Run) =>
  RUN_ENDED.has(run.state) ? Infinity : (run.forecast?.remaining ?? Number.MAX_VALUE);

export const ORDERS: Order[] = [
  { key: "", word: "Active first", by: (a, b) => need(b) - need(a) || newest(a, b) },
  { key: "newest", word: "Newest first", by: newest },
  { key: "oldest", word: "Oldest first", by: (a, b) => newest(b, a) },
  { key: "cost", word: "Most expensive first", by: (a, b) => b.usage.cost - a.usage.cost || newest(a, b) },
  { key: "time", word: "Longest first", by: (a, b) => length(b) - length(a) || newest(a, b) },
  {
    key: "left",
    word: "Least time left first",
    by: (a, b) => (left(a) === left(b) ? newest(a, b) : left(a) - left(b)),
  },
  { key: "name", word: "By name", by: (a, b) => a.title.localeCompare(b.title) || newest(a, b) },
];

// `runs` is a reactive map. `choice` has the search, state, order and page.
export function useChoice(runs: ReadonlyMap<string, Run>) {
  const choice = reactive(choiceOf(location.search));

  const found = computed(() => {
    const words = choice.q.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...runs.values()].filter((run) =>
      FACETS.every((facet) => !choice[facet.key] || facet.of(run) === choice[facet.key]),
    );
    if (!words.length) return all;
    return all.filter((run) => {
      const text = `${run.title} ${run.name} ${run.project} ${run.reason} ${run.creator ?? ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  });
  // The values to choose from; a facet with a single value is no choice.
  const facets = computed(() =>
    FACETS.map((facet) => {
      const values = new Set([...runs.values()].map(facet.of).filter(Boolean));
      if (choice[facet.key]) values.add(choice[facet.key]);
      return { ...facet, values: [...values].sort() };
    }).filter((facet) => facet.values.length > 1 || choice[facet.key]),
  );
  const states = computed(() =>
    STATES.map((state) => ({ ...state, count: found.value.filter(state.of).length })).filter(
      (state) => !state.key || state.count || state.key === choice.state,
    ),
  );
  const chosen = computed(() => {
    const state = STATES.find((each) => each.key === choice.state) ?? STATES[0];
    const order = ORDERS.find((each) => each.key === choice.sort) ?? ORDERS[0];
    return found.value.filter(state.of).sort(order.by);
  });
  const pages = computed(() => Math.max(1, Math.ceil(chosen.value.length / PAGE)));
  const page = computed(() => Math.min(choice.page, pages.value));
  const shown = computed(() => chosen.value.slice((page.value - 1) * PAGE, page.value * PAGE));

  watch(
    () => queryOf(choice, false),
    () => (choice.page = 1),
  );
  watch(choice, () => {
    const text = queryOf(choice);
    history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
  });
  return { choice, chosen, facets, page, pages, shown, states };
}

// Usage from the reports of a run: sums, sums by model, and a projection.
import { costOf, dollars } from "./format";
import type { AttentionItem, Turn, Usage } from "./types";

type Tokens = Pick<Usage, "input" | "output" | "cache_read" | "cache_write">;

// A sum of reports: the usage without its parts by model.
export type Total = Omit<Usage, "models">;

// One report of usage. An unknown cost is null.
export interface Report extends Tokens {
  time: number;
  task: string;
  epic: string;
  attempt: number;
  model: string;
  cost: number | null;
  cost_estimated: number;
  // The call that started the sub-agent which used it, and what that works on; empty: the session's own agent, or
  // its agent does not tell them apart.
  parent: string;
  sub_agent: string;
}

export const KINDS: { key: keyof Tokens; word: string }[] = [
  { key: "input", word: "Input" },
  { key: "output", word: "Output" },
  { key: "cache_read", word: "Cache read" },
  { key: "cache_write", word: "Cache write" },
];

// One report, under the names that totals have. An unknown cost is null.
export const report = (turn: Turn): Report => ({
  time: turn.time,
  task: `${turn.epic}/${turn.task}`,
  epic: turn.epic,
  attempt: turn.attempt,
  model: turn.model ?? "",
  input: turn.input_tokens ?? 0,
  output: turn.output_tokens ?? 0,
  cache_read: turn.cache_read_tokens ?? 0,
  cache_write: turn.cache_write_tokens ?? 0,
  cost: turn.cost_usd_micros ?? null,
  cost_estimated: turn.estimated ? (turn.cost_usd_micros ?? 0) : 0,
  parent: turn.parent_tool_call_id ?? "",
  sub_agent: turn.sub_agent ?? "",
});

export const nothing = (): Total => ({
  input: 0,
  output: 0,
  cache_read: 0,
  cache_write: 0,
  cost: 0,
  cost_incomplete: false,
  cost_estimated: 0,
});

// Adds a report or a total to a total.
export function add(all: Total, each: Report | Total): Total {
  for (const { key } of KINDS) all[key] += each[key];
  all.cost += each.cost ?? 0;
  all.cost_incomplete ||= "cost_incomplete" in each ? each.cost_incomplete : each.cost === null;
  all.cost_estimated += each.cost_estimated ?? 0;
  return all;
}

export const sum = (some: (Report | Total)[]): Total => some.reduce<Total>(add, nothing());

export const tokens = (usage: Tokens): number => KINDS.reduce((all, { key }) => all + usage[key], 0);

// The cost in words; a dash if no tokens were used either.
export const said = (usage: Total): string => costOf(usage) || (tokens(usage) ? "$0.00" : "–");

export function byModel(reports: Report[]): (Total & { model: string })[] {
  const models = Map.groupBy(reports, (each) => each.model);
  return [...models]
    .map(([model, of]) => ({ model, ...sum(of) }))
    .sort((a, b) => b.cost - a.cost || tokens(b) - tokens(a));
}

// The sub-agents of a session, the most expensive first, and its own agent before them; empty without sub-agents.
export function bySubAgent(reports: Report[]): (Total & { title: string })[] {
  const agents = Map.groupBy(reports, (each) => each.parent);
  const own = sum(agents.get("") ?? []);
  agents.delete("");
  if (!agents.size) return [];
  const subs = [...agents.values()].map((of, place) => ({
    title: of.find((each) => each.sub_agent)?.sub_agent ?? `Sub-agent ${place + 1}`,
    ...sum(of),
  }));
  return [
    { title: "The session's own agent", ...own },
    ...subs.sort((a, b) => b.cost - a.cost || tokens(b) - tokens(a)),
  ];
}

// Says whose budget is now which: that of the run, or of its part, EPIC or EPIC/TASK.
export function raised(item: Pick<AttentionItem, "run" | "run_title" | "of">, micros: number): string {
  const part = (item.of ?? "")
    .slice(item.run.length)
    .replace(/\/(epics|tasks)\//g, "/")
    .slice(1);
  return `The budget of ${part || item.run_title} is now ${dollars(micros)}`;
}

// Running sums over time: a list of {time, values}, at most `most` of them.
export function growth(
  reports: Report[],
  values: (of: Report | Total) => number[],
  most = 400,
): { time: number; values: number[] }[] {
  const out: { time: number; values: number[] }[] = [];
  let sums = values(nothing()).map(() => 0);
  for (const each of reports) {
    const more = values(each);
    sums = sums.map((value, place) => value + (more[place] ?? 0));
    out.push({ time: each.time, values: sums });
  }
  const step = Math.ceil(out.length / most);
  return step > 1 ? out.filter((_, place) => place % step === 0 || place === out.length - 1) : out;
}

// The projected cost of the run if its remaining tasks cost as much as the finished
// ones; null before the first is finished.
export function projected(
  reports: Pick<Report, "task" | "cost">[],
  isOver: (task: string) => boolean,
  left: number,
): number | null {
  const costs = new Map<string, number>();
  for (const { task, cost } of reports) costs.set(task, (costs.get(task) ?? 0) + (cost ?? 0));
  const over = [...costs].filter(([task]) => isOver(task)).map(([, cost]) => cost);
  if (!over.length) return null;
  const spent = [...costs.values()].reduce((all, each) => all + each, 0);
  const done = over.reduce((all, each) => all + each, 0);
  return Math.max(spent, done + (done / over.length) * left);
}

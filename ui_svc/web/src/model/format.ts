// Numbers and times as people read them.
import type { Usage } from "./types";

// Anything with a cost, such as a total or one report.
type Priced = Partial<Pick<Usage, "cost_incomplete" | "cost_estimated">> & {
  cost: number | null;
  estimated?: boolean;
};

export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const pad = (value: number) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${pad(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86400)}d ${Math.floor(seconds / 3600) % 24}h`;
}

// A duration in seconds; short ones keep their fractions.
export function took(seconds: number | null | undefined): string {
  if (seconds === undefined || seconds === null) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return duration(seconds * 1000);
}

export function ago(time: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

// Shared: a board formats hundreds of times, and creating a formatter is slower than using it.
const DATE = new Intl.DateTimeFormat([], {
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
});

const SECONDS = new Intl.DateTimeFormat([], {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

const MINUTES = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hour12: false });

export const absolute = (time: number | null | undefined) => (time ? DATE.format(time) : "");

export const clockTime = (time: number | null | undefined) => (time ? SECONDS.format(time) : "");

// A cost in millionths of a dollar. A sum with an unknown part is "at least" this much,
// one that needed a table of prices is "about" this much.
export function money(usage: Priced | null | undefined): string {
  if (!usage) return "";
  if (usage.cost === 0 && usage.cost_incomplete) return "price unknown";
  const mark = (usage.cost_incomplete ? "≥ " : "") + (usage.cost_estimated || usage.estimated ? "~" : "");
  return mark + dollars(usage.cost ?? 0);
}

// Empty if no usage was reported.
export const costOf = (usage: Priced) => (usage.cost || usage.cost_incomplete ? money(usage) : "");

export function dollars(micros: number): string {
  const value = micros / 1e6;
  const digits = value !== 0 && Math.abs(value) < 0.1 ? 3 : 2;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${value < 0 ? "−" : ""}$${Math.abs(value).toLocaleString("en-US", options)}`;
}

// How long something will take: an estimate needs no seconds once there are minutes.
export function roughly(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

// "user:ada" is Ada. Empty if it is unknown.
export const person = (actor: string | null | undefined) => (actor ?? "").replace(/^user:/, "");

// The last part of a repository's path or URL.
export const repositoryOf = (project: string) =>
  project
    .replace(/\/+$/, "")
    .replace(/\.git$/, "")
    .split(/[/:]/)
    .at(-1) || project;

export const clock = (time: number) => MINUTES.format(time);

export function count(value: number): string {
  if (value < 10000) return value.toLocaleString("en-US");
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  return `${(value / 1e6).toFixed(2)}M`;
}

export const short = (commit: string | null | undefined) => (commit ?? "").slice(0, 8);

export const plural = (value: number, one: string, many = `${one}s`) =>
  `${value} ${value === 1 ? one : many}`;

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  if (value < 1 << 20) return `${(value / 1024).toFixed(0)} KB`;
  if (value < 1 << 30) return `${(value / (1 << 20)).toFixed(1)} MB`;
  return `${(value / (1 << 30)).toFixed(1)} GB`;
}

// Numbers and times as people read them.

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const pad = (value) => String(value).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${pad(Math.floor(seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86400)}d ${Math.floor(seconds / 3600) % 24}h`;
}

// Of something that took this long; short ones keep their fractions.
export function took(seconds) {
  if (seconds === undefined || seconds === null) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return duration(seconds * 1000);
}

export function ago(time, now) {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export const absolute = (time) => (time ? new Date(time).toLocaleString() : "");

export const clockTime = (time) =>
  time ? new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) : "";

// A cost in millionths of a dollar. What has an unknown part is "at least" so much.
export function money(usage) {
  if (!usage) return "";
  if (usage.cost === 0 && usage.cost_incomplete) return "price unknown";
  const dollars = usage.cost / 1e6;
  const digits = dollars !== 0 && dollars < 0.1 ? 3 : 2;
  return `${usage.cost_incomplete ? "≥ " : ""}${usage.estimated ? "~" : ""}$${dollars.toFixed(digits)}`;
}

export function count(value) {
  if (value < 10000) return value.toLocaleString("en-US");
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  return `${(value / 1e6).toFixed(2)}M`;
}

export const short = (commit) => (commit ?? "").slice(0, 8);

export const plural = (value, one, many = `${one}s`) => `${value} ${value === 1 ? one : many}`;

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  if (value < 1 << 20) return `${(value / 1024).toFixed(0)} KB`;
  return `${(value / (1 << 20)).toFixed(1)} MB`;
}

// Maps time to a place between 0 and 1. Idle time may be compressed.

// What of a span counts: when it ran, and when it waited. `to` is null while it lasts.
export interface Stretch {
  from: number;
  to: number | null;
  waits: { from: number; to: number | null }[];
}

// A part of the axis; `start` and `width` are shares of it.
export interface Segment {
  from: number;
  to: number;
  gap: boolean;
  weight: number;
  start: number;
  width: number;
}

export interface Scale {
  place: (time: number) => number;
  timeAt: (where: number) => number;
  segments: Segment[];
  // The time that the axis shows, in milliseconds.
  weight: number;
  gaps: Segment[];
}

// A gap counts as idle from this length and this share of the working time.
const IDLE = 20_000;

const IDLE_SHARE = 0.04;

// The width of a compressed gap, as a share of the working time.
const GAP_SHARE = 0.025;

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map(
  (seconds) => seconds * 1000,
);

// Returns the times with at least one working span, as ordered pairs. Waiting for the operator is not working.
function worked(spans: Stretch[], now: number): [number, number][] {
  const pieces: [number, number][] = [];
  for (const span of spans) {
    let from = span.from;
    for (const wait of span.waits) {
      pieces.push([from, wait.from]);
      from = wait.to ?? now;
    }
    pieces.push([from, span.to ?? now]);
  }
  pieces.sort((a, b) => a[0] - b[0]);
  const out: [number, number][] = [];
  for (const [from, to] of pieces) {
    const last = out[out.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else out.push([from, Math.max(from, to)]);
  }
  return out;
}

export function createScale(spans: Stretch[], now: number, compress: boolean): Scale {
  const busy = worked(spans, now);
  if (!busy.length) return { place: () => 0, timeAt: () => now, gaps: [], segments: [], weight: 0 };
  const first = Math.min(busy[0][0], ...spans.map((span) => span.from));
  const last = Math.max(busy[busy.length - 1][1], ...spans.map((span) => span.to ?? now), first + 1000);
  const total = busy.reduce((all, [from, to]) => all + to - from, 0);
  const idle = compress ? Math.max(IDLE, total * IDLE_SHARE) : Infinity;
  const short = Math.max(total * GAP_SHARE, 500);

  const segments: Segment[] = [];
  let at = first;
  const add = (to: number, gap: boolean) => {
    if (to <= at) return;
    segments.push({ from: at, to, gap, weight: gap ? short : to - at, start: 0, width: 0 });
    at = to;
  };
  for (const [from, to] of busy) {
    if (from - at > idle) add(from, true);
    add(to, false);
  }
  add(last, last - at > idle);
  const weight = segments.reduce((all, each) => all + each.weight, 0);
  let sum = 0;
  for (const each of segments) {
    each.start = sum / weight;
    each.width = each.weight / weight;
    sum += each.weight;
  }

  function place(time: number) {
    const it = segments.find((each) => time <= each.to) ?? segments[segments.length - 1];
    return it.start + it.width * Math.min(1, Math.max(0, (time - it.from) / (it.to - it.from)));
  }
  function timeAt(where: number) {
    const it = segments.find((each) => where <= each.start + each.width) ?? segments[segments.length - 1];
    return it.from + Math.min(1, Math.max(0, (where - it.start) / it.width)) * (it.to - it.from);
  }
  return { place, timeAt, segments, weight, gaps: segments.filter((each) => each.gap) };
}

// The width of a time label beyond the lane's padding: 13:30, and 13:30:15.
const MINUTES_WIDE = 30;

const SECONDS_WIDE = 42;

// Returns round times for the axis, at least `room` pixels apart; no label reaches beyond the end.
export function ticks(
  scale: Pick<Scale, "place" | "segments" | "weight">,
  width: number,
  room = 86,
): { time: number; x: number; seconds: boolean }[] {
  const wanted = (scale.weight / Math.max(width, 1)) * room;
  const step = STEPS.find((each) => each >= wanted) ?? STEPS[STEPS.length - 1];
  const zone = new Date().getTimezoneOffset() * 60_000;
  const out: { time: number; x: number; seconds: boolean }[] = [];
  const seconds = step < 60_000;
  const last = width - (seconds ? SECONDS_WIDE : MINUTES_WIDE);
  let free = -Infinity;
  for (const segment of scale.segments) {
    if (segment.gap) continue;
    for (let time = Math.ceil((segment.from - zone) / step) * step + zone; time <= segment.to; time += step) {
      const x = scale.place(time) * width;
      if (x < free || x > last) continue;
      out.push({ time, x, seconds });
      free = x + room * 0.8;
    }
  }
  return out;
}

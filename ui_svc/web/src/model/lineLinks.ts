// Links to lines of a log: "#L120" is the first line of event 120, "#L120.3" its
// fourth, "#L120-L125" a block. They name the same line however much of the log is here.

// As the keys of rows: SEQUENCE + place / 2^20.
const PLACES = 1 << 20;

const word = (key: number) => {
  const sequence = Math.floor(key);
  const place = Math.round((key - sequence) * PLACES);
  return `L${sequence}${place ? `.${place}` : ""}`;
};

export const linkTo = (from: number, to: number) => `#${word(from)}${to > from ? `-${word(to)}` : ""}`;

// Returns the keys of the first and last line; null if `hash` is no such link.
export function readLink(hash: string): { from: number; to: number } | null {
  const match = /^#L(\d+)(?:\.(\d+))?(?:-L(\d+)(?:\.(\d+))?)?$/.exec(hash);
  if (!match) return null;
  const key = (sequence: string, place?: string) => Number(sequence) + Number(place ?? 0) / PLACES;
  const from = key(match[1], match[2]);
  return { from, to: match[3] ? Math.max(from, key(match[3], match[4])) : from };
}

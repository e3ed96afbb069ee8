// What a person decides about a conflict: pure functions about its files, regions and line ends.

export interface Text {
  text: string;
  // False: bytes that are not UTF-8 are replaced in `text`.
  exact: boolean;
}

export interface Region {
  base: Text;
  ours: Text;
  theirs: Text;
}

export interface Part {
  common: Text | null;
  region: Region | null;
}

export interface Version {
  mode: string;
  size: number;
  target: string;
}

export type Form = "text" | "binary" | "large" | "one_side" | "gone" | "link" | "submodule";

export interface ConflictFile {
  index: number;
  path: string;
  form: Form;
  note: string;
  made_up_name: boolean;
  base: Version | null;
  ours: Version | null;
  theirs: Version | null;
}

export interface Conflict {
  source_commit: string;
  target_commit: string;
  source_branch: string;
  target_branch: string;
  files: ConflictFile[];
}

export type Side = "ours" | "theirs";
export type Take = Side | "ours_theirs" | "theirs_ours";

// A region's: one side or both, or other text, with the line ends that it is to get.
export interface Choice {
  take?: Take;
  text?: string;
}

// A file's. `regions` has the choice of each region by its key; `whole` replaces them.
export interface Decision {
  side?: Side;
  regions?: Record<string, Choice>;
  whole?: string;
  mode?: Side;
  newPath?: string;
}

export const SIDES: Side[] = ["ours", "theirs"];

export const TAKES: { take: Take; word: string; key: string }[] = [
  { take: "ours", word: "Ours", key: "o" },
  { take: "theirs", word: "Theirs", key: "t" },
  { take: "ours_theirs", word: "Both, ours first", key: "b" },
  { take: "theirs_ours", word: "Both, theirs first", key: "B" },
];

// Names a region by its content, so that a choice outlives a change of other regions.
export function keyOf(region: Region): string {
  let hash = 5381;
  let other = 52711;
  for (const character of [region.base.text, region.ours.text, region.theirs.text].join("\0")) {
    const code = character.codePointAt(0) ?? 0;
    hash = (hash * 33 + code) >>> 0;
    other = (other * 31 + code) >>> 0;
  }
  return hash.toString(36) + other.toString(36);
}

// The keys of a file's regions in order; equal regions are told apart by their number.
export function keysOf(parts: Part[]): string[] {
  const seen = new Map<string, number>();
  return parts.flatMap(({ region }) => {
    if (!region) return [];
    const key = keyOf(region);
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    return count ? `${key}.${count}` : key;
  });
}

export const isDos = (text: string) => /\r\n/.test(text);

// What an editor shows: it knows no other line end.
export const toUnix = (text: string) => text.replaceAll("\r\n", "\n");

export const toDos = (text: string) => toUnix(text).replaceAll("\n", "\r\n");

// Which line ends a text has.
export function endsOf(text: string): "" | "LF" | "CRLF" | "mixed" {
  const all = text.split("\n").length - 1;
  const dos = text.split("\r\n").length - 1;
  if (!all) return "";
  return dos === all ? "CRLF" : dos ? "mixed" : "LF";
}

const joined = (first: string, second: string) =>
  first && second && !first.endsWith("\n")
    ? first + (/\r?\n/.exec(first) ?? /\r?\n/.exec(second) ?? ["\n"])[0] + second
    : first + second;

// The text that a choice gives a region; null if nothing is chosen.
export function resultOf(region: Region, choice: Choice | undefined): string | null {
  const [ours, theirs] = [region.ours.text, region.theirs.text];
  if (choice?.text !== undefined) return choice.text;
  switch (choice?.take) {
    case "ours":
      return ours;
    case "theirs":
      return theirs;
    case "ours_theirs":
      return joined(ours, theirs);
    case "theirs_ours":
      return joined(theirs, ours);
  }
  return null;
}

// The whole file; a region without a choice has our side.
export function wholeOf(parts: Part[], decision: Decision | undefined): string {
  const keys = keysOf(parts)[Symbol.iterator]();
  return parts
    .map(({ common, region }) => {
      if (!region) return common?.text ?? "";
      return resultOf(region, decision?.regions?.[keys.next().value ?? ""]) ?? region.ours.text;
    })
    .join("");
}

// Both sides have a file there, with different modes, and neither is that of before.
export function differsInMode(file: ConflictFile): boolean {
  if (file.form !== "text" || !file.ours || !file.theirs || file.ours.mode === file.theirs.mode) return false;
  return ![file.ours.mode, file.theirs.mode].includes(file.base?.mode ?? "");
}

// How much of a file is undecided: its regions, its mode and its name. `parts`: null until they are read.
export function leftIn(file: ConflictFile, decision: Decision | undefined, parts: Part[] | null): number {
  const mode = differsInMode(file) && !decision?.mode ? 1 : 0;
  if (file.form !== "text") {
    if (!decision?.side) return 1;
    return file.made_up_name && file[decision.side] && !decision.newPath?.trim() ? 1 : 0;
  }
  if (decision?.whole !== undefined) return mode;
  if (!parts) return 1;
  return mode + keysOf(parts).filter((key) => !decision?.regions?.[key]).length;
}

// The body of the request for one file. Its parts must be read if it is text.
export function chosen(file: ConflictFile, decision: Decision | undefined, parts: Part[] | null) {
  const of = { index: file.index, mode: decision?.mode, new_path: decision?.newPath?.trim() || undefined };
  if (file.form !== "text") return { ...of, side: decision?.side };
  if (decision?.whole !== undefined) return { ...of, whole: decision.whole };
  const regions = keysOf(parts ?? []).map((key) => {
    const choice = decision?.regions?.[key];
    return choice?.text !== undefined ? { text: choice.text } : { side: choice?.take };
  });
  return { ...of, regions };
}

// What of an earlier draft no longer fits to a file whose regions have changed: the texts that a person wrote.
export function unused(decision: Decision | undefined, parts: Part[] | null): string[] {
  if (!decision?.regions || !parts) return [];
  const keys = new Set(keysOf(parts));
  return Object.entries(decision.regions).flatMap(([key, { text }]) =>
    text !== undefined && !keys.has(key) ? [text] : [],
  );
}

// Whether a person's text still has a line that git writes around a conflict.
export const hasMarkers = (text: string) => /^(<{7}|>{7}|\|{7}) /m.test(text);

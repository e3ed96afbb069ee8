// The files of a run's changes that the operator has marked as viewed, kept in this browser.
import { ref } from "vue";
import type { ChangedFile } from "../model/diffParse";

// Marks of a run; the oldest ones are dropped.
const MOST_KEPT = 1000;

const keyOf = (run: string) => `heddle-viewed ${run}`;

function kept(run: string): string[] {
  try {
    const marks = JSON.parse(localStorage.getItem(keyOf(run)) ?? "[]");
    return Array.isArray(marks) ? marks : [];
  } catch {
    return [];
  }
}

// A file that changes again has another mark, and so is no longer viewed.
export function markOf(file: Pick<ChangedFile, "name" | "lines">): string {
  let hash = 5381;
  for (const { kind, text } of file.lines)
    for (const character of `${kind} ${text}\n`) hash = (hash * 33 + character.codePointAt(0)!) >>> 0;
  return `${hash.toString(36)} ${file.name}`;
}

export type ViewedFiles = ReturnType<typeof createViewedFiles>;

export function createViewedFiles(run: string) {
  const marks = ref(new Set(kept(run)));
  return {
    has: (file: ChangedFile) => marks.value.has(markOf(file)),
    set(file: ChangedFile, viewed: boolean) {
      const all = new Set(kept(run));
      if (viewed) all.add(markOf(file));
      else all.delete(markOf(file));
      localStorage.setItem(keyOf(run), JSON.stringify([...all].slice(-MOST_KEPT)));
      marks.value = all;
    },
  };
}

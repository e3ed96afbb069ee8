// The files of two changes of the same code, each next to its counterpart.
import type { ChangedFile } from "./diffParse";

export interface FilePair<File extends ChangedFile> {
  name: string;
  // Null: this change leaves the file as it was.
  left: File | null;
  right: File | null;
  // Whether both change it in the same way.
  same: boolean;
}

const linesOf = (file: ChangedFile) => file.lines.map(({ kind, text }) => `${kind} ${text}`).join("\n");

function equal(left: ChangedFile, right: ChangedFile) {
  return left.was === right.was && left.note === right.note && linesOf(left) === linesOf(right);
}

// In the order of the names, with what differs first.
export function pairFiles<File extends ChangedFile>(left: File[], right: File[]): FilePair<File>[] {
  const others = new Map(right.map((file) => [file.name, file]));
  const names = new Set([...left, ...right].map((file) => file.name));
  const mine = new Map(left.map((file) => [file.name, file]));
  return [...names]
    .sort()
    .map((name) => {
      const [one, other] = [mine.get(name) ?? null, others.get(name) ?? null];
      return { name, left: one, right: other, same: one !== null && other !== null && equal(one, other) };
    })
    .sort((a, b) => Number(a.same) - Number(b.same));
}

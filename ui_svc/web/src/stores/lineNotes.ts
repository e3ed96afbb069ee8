// The operator's comments on lines of a change, kept in this browser until they are sent.
import { computed, reactive, ref, watch, type Ref } from "vue";
import type { Line } from "../model/diffParse";

// A comment on a line; `of` is the epic, attempt or run whose change has it.
export interface Note {
  id: string;
  of: string;
  file: string;
  side: string;
  number: number | "";
  // The line's text.
  text: string;
  comment: string;
}

// What a note is about, while it is written; `id` where a known one is edited.
export type Draft = Omit<Note, "id"> & { id?: string };

export type LineNotes = ReturnType<typeof createLineNotes>;

const keyOf = (run: string) => `heddle-notes ${run}`;

// Removed lines belong to the old version of a file, all others to the new one.
const placeOf = (line: Line) =>
  line.kind === "del" ? { side: "old", number: line.from } : { side: "new", number: line.to };

function kept(run: string): Note[] {
  try {
    const notes = JSON.parse(localStorage.getItem(keyOf(run)) ?? "[]");
    return Array.isArray(notes) ? notes : [];
  } catch {
    return [];
  }
}

// `of` is a ref: the epic, attempt or run whose change is shown. Each has notes of its own.
export function createLineNotes(run: string, of: Readonly<Ref<string>>) {
  const all = reactive(kept(run));
  // The line that is being commented on.
  const draft = ref<Draft | null>(null);
  watch(all, () =>
    all.length ? localStorage.setItem(keyOf(run), JSON.stringify(all)) : localStorage.removeItem(keyOf(run)),
  );

  const notes = computed(() => all.filter((note) => note.of === of.value));
  const isAt = (it: Draft, file: string, line: Line) =>
    it.file === file && it.side === placeOf(line).side && it.number === placeOf(line).number;
  function save() {
    if (!draft.value) return;
    const text = draft.value.comment.trim();
    const { id, ...place } = draft.value;
    const known = all.findIndex((note) => note.id === id);
    if (text && known >= 0) all[known].comment = text;
    else if (text) all.push({ ...place, comment: text, id: `${Date.now()} ${Math.random()}` });
    draft.value = null;
  }
  return {
    notes,
    draft,
    at: (file: string, line: Line) => notes.value.filter((note) => isAt(note, file, line)),
    isDrafted: (file: string, line: Line) =>
      !!draft.value && !draft.value.id && draft.value.of === of.value && isAt(draft.value, file, line),
    begin(file: string, line: Line) {
      // A draft at another line is not lost.
      save();
      draft.value = { of: of.value, file, ...placeOf(line), text: line.text, comment: "" };
    },
    edit(note: Note) {
      save();
      draft.value = { ...note };
    },
    save,
    leave: () => (draft.value = null),
    remove: (note: Note) =>
      all.splice(
        all.findIndex((each) => each.id === note.id),
        1,
      ),
    clear: () =>
      notes.value.forEach((note) =>
        all.splice(
          all.findIndex((each) => each.id === note.id),
          1,
        ),
      ),
  };
}

// The prompt for the agent: each comment with its file, line, and the line's text.
export function promptOf(notes: Note[]): string {
  const parts = notes.map((note) => {
    const where =
      note.side === "old"
        ? `${note.file}, line ${note.number} before the change (it was removed)`
        : `${note.file}, line ${note.number}`;
    return `## ${where}\n\n    ${note.text}\n\n${note.comment}`;
  });
  const count = notes.length === 1 ? "a comment" : `${notes.length} comments`;
  const task = `The changes were reviewed, with ${count}. Do what each one asks; where you do not, say why.`;
  return `${[task, ...parts].join("\n\n")}\n`;
}

// The operator's comments on lines of a change, kept in this browser until they are sent.
import { computed, reactive, ref, watch } from "vue";

const keyOf = (run) => `heddle-notes ${run}`;

// Removed lines belong to the old version of a file, all others to the new one.
const placeOf = (line) =>
  line.kind === "del" ? { side: "old", number: line.from } : { side: "new", number: line.to };

function kept(run) {
  try {
    const notes = JSON.parse(localStorage.getItem(keyOf(run)) ?? "[]");
    return Array.isArray(notes) ? notes : [];
  } catch {
    return [];
  }
}

// `of` is a ref: the epic, attempt or run whose change is shown. Each has notes of its own.
export function createLineNotes(run, of) {
  const all = reactive(kept(run));
  // The line that is being commented on; `id` where a note is edited.
  const draft = ref(null);
  watch(all, () =>
    all.length ? localStorage.setItem(keyOf(run), JSON.stringify(all)) : localStorage.removeItem(keyOf(run)),
  );

  const notes = computed(() => all.filter((note) => note.of === of.value));
  const isAt = (it, file, line) =>
    it.file === file && it.side === placeOf(line).side && it.number === placeOf(line).number;
  function save() {
    const text = draft.value?.comment.trim();
    if (text === undefined) return;
    const { id, ...place } = draft.value;
    const known = all.findIndex((note) => note.id === id);
    if (text && known >= 0) all[known].comment = text;
    else if (text) all.push({ ...place, comment: text, id: `${Date.now()} ${Math.random()}` });
    draft.value = null;
  }
  return {
    notes,
    draft,
    at: (file, line) => notes.value.filter((note) => isAt(note, file, line)),
    isDrafted: (file, line) =>
      !!draft.value && !draft.value.id && draft.value.of === of.value && isAt(draft.value, file, line),
    begin(file, line) {
      // A draft at another line is not lost.
      save();
      draft.value = { of: of.value, file, ...placeOf(line), text: line.text, comment: "" };
    },
    edit(note) {
      save();
      draft.value = { ...note };
    },
    save,
    leave: () => (draft.value = null),
    remove: (note) =>
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
export function promptOf(notes) {
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

// The decisions of a person about an epic's conflict, kept in this browser until the epic is merged.
import { reactive, ref } from "vue";
import type { Conflict, Decision } from "./resolution";

interface Kept {
  source: string;
  target: string;
  files: Record<string, Decision>;
}

const keyOf = (epic: string) => `heddle-resolution ${epic}`;

function kept(epic: string): Kept {
  try {
    const found = JSON.parse(localStorage.getItem(keyOf(epic)) ?? "{}");
    return { source: found.source ?? "", target: found.target ?? "", files: found.files ?? {} };
  } catch {
    return { source: "", target: "", files: {} };
  }
}

export const dropDraft = (epic: string) => localStorage.removeItem(keyOf(epic));

export const hasDraft = (epic: string) => Object.keys(kept(epic).files).length > 0;

export type Draft = ReturnType<typeof createDraft>;

export function createDraft(epic: string) {
  const draft = reactive(kept(epic));
  // The browser has no room for it: then it lives only as long as the page.
  const unkept = ref(false);
  function keep() {
    try {
      localStorage.setItem(keyOf(epic), JSON.stringify(draft));
      unkept.value = false;
    } catch {
      unkept.value = true;
    }
  }
  return {
    unkept,
    of: (path: string): Decision | undefined => draft.files[path],
    set(path: string, decision: Decision) {
      draft.files[path] = decision;
      keep();
    },
    // Returns whether the decisions were made for other commits.
    begin({ source_commit, target_commit }: Conflict): boolean {
      const other = !!draft.target && (draft.source !== source_commit || draft.target !== target_commit);
      [draft.source, draft.target] = [source_commit, target_commit];
      if (Object.keys(draft.files).length) keep();
      return other && Object.keys(draft.files).length > 0;
    },
    clear() {
      draft.files = {};
      dropDraft(epic);
    },
  };
}

// Whether runs can start on a repository, asked while the form is filled in and before there is a plan.
import { onUnmounted, reactive } from "vue";
import { messageOf, post } from "../browser/api";

export interface RepositoryCheck {
  state: "" | "checking" | "good" | "bad";
  // What is wrong, by the name of the form's field.
  fields: Record<string, string>;
  dirty: boolean;
  behind: { branch: string; upstream: string; commits: number } | null;
}

interface Asked {
  project: string;
  base_ref: string;
  merge_into: string;
  allow_dirty: boolean;
}

export function useRepositoryCheck(asked: () => Asked) {
  const found = reactive<RepositoryCheck>({ state: "", fields: {}, dirty: false, behind: null });
  let due: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  async function check() {
    const mine = ++turn;
    const request = asked();
    if (!request.project) return void Object.assign(found, { state: "", fields: {}, behind: null });
    const answer = await post("project:check", request).catch((problem) => ({
      problem: messageOf(problem),
      fields: { project: messageOf(problem) },
      dirty: false,
      base_behind: null,
    }));
    if (mine !== turn) return;
    Object.assign(found, {
      state: answer.problem ? "bad" : "good",
      fields: answer.fields,
      dirty: found.dirty || answer.dirty,
      behind: answer.base_behind,
    });
  }

  // A half-typed path is not an error yet.
  function soon(milliseconds = 600) {
    clearTimeout(due);
    turn += 1;
    if (asked().project) found.state = "checking";
    due = setTimeout(check, milliseconds);
  }

  onUnmounted(() => clearTimeout(due));
  return { found, soon };
}

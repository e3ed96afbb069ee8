"""The prompt of a task whose worktree starts with a merge that conflicts. Pure."""

from collections.abc import Iterator
from typing import Final

from heddle import pb

# The number of files that a prompt lists.
_MOST_FILES: Final = 100


def merge_prompt(ensured: pb.EnsureWorktreeResponse, prompt: str, base_branch: str = "") -> str:
    """Returns the prompt, preceded by the conflict that the agent must resolve first, if there is one.

    `base_branch` is the project's branch that the epic takes in; empty: none.
    """
    return "\n".join([*_conflict(ensured, base_branch), prompt]) if ensured.conflict_files else prompt


def _conflict(ensured: pb.EnsureWorktreeResponse, base_branch: str) -> Iterator[str]:
    files = ensured.conflict_files
    of_base = ensured.base.conflicts
    other = f"the newest commits of {base_branch}" if of_base else "the work that your task needs"
    yield f"Before your task: this worktree contains the merge of this branch with {ensured.conflict_commit},"
    yield f"{other}. It is not committed, and conflicts in these files:"
    yield from (f"- {file}" for file in files[:_MOST_FILES])
    if len(files) > _MOST_FILES:
        yield f"- and {len(files) - _MOST_FILES} more"
    yield "Resolve the conflicts so that both sides keep their intent, and leave no conflict markers. If"
    yield ".heddle/conflicts.txt exists, it lists conflicts without markers. Leave the result as files: do not merge, rebase"
    yield "or switch branches. Then do your task:"
    yield ""

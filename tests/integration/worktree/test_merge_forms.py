"""Squashed merges, and previews that move nothing."""

from tests.integration.worktree.test_branch_merge import MERGED, finish_epic
from tests.support.worktrees import Worker, fingerprint


async def test_a_squashed_merge_is_one_commit_with_everything(worker: Worker) -> None:
    """The commit has the target as its only parent, the source's changes and the trailers."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n", "README.md": "changed\n"})
    done = await worker.merge(source, MERGED, "main", "runs/r1/epics/api", squash=True)
    assert worker.git("log", "-1", "--format=%P", MERGED) == worker.git("rev-parse", "main")
    assert worker.git("diff", source, MERGED) == ""
    assert done.merged.tree == worker.git("rev-parse", f"{MERGED}^{{tree}}")
    message = worker.git("log", "-1", "--format=%B", MERGED)
    merged = worker.git("rev-parse", source)
    assert message.endswith(f"Heddle-Run: runs/r1\nHeddle-Epic: api\nHeddle-Merged: {merged}")


async def test_squashing_twice_is_squashing_once(worker: Worker) -> None:
    """A repeated call finds the squashed commit by its trailer, whatever was committed after it."""
    api = await finish_epic(worker, "api", {"README.md": "api\n"})
    first = await worker.merge(api, MERGED, "main", squash=True)
    ui = await finish_epic(worker, "ui", {"b.txt": "b\n"})
    second = await worker.merge(ui, MERGED, "main", squash=True)
    again = await worker.merge(api, MERGED, "main", squash=True)
    assert again.merged.already
    assert again.merged.commit == second.merged.commit != first.merged.commit
    assert worker.git("rev-list", "--count", f"main..{MERGED}") == "2"


async def test_a_preview_moves_nothing(worker: Worker) -> None:
    """A preview returns the tree or the files in conflict, even for a target that is checked out or does not exist."""
    one = await finish_epic(worker, "one", {"README.md": "one\n"})
    two = await finish_epic(worker, "two", {"README.md": "two\n"})
    before = fingerprint(worker.project), worker.git("for-each-ref")
    into_main = await worker.merge(one, "main", preview=True)
    into_new = await worker.merge(one, MERGED, "main", preview=True)
    assert into_main.merged.tree == into_new.merged.tree == worker.git("rev-parse", f"{one}^{{tree}}")
    assert not into_main.merged.commit
    assert (fingerprint(worker.project), worker.git("for-each-ref")) == before
    done = await worker.merge(one, MERGED, "main")
    assert done.merged.tree == into_new.merged.tree
    after = await worker.merge(one, MERGED, "main", preview=True)
    assert (after.merged.already, after.merged.commit) == (True, done.merged.commit)
    conflict = await worker.merge(two, MERGED, "main", preview=True)
    assert list(conflict.conflict.files) == ["README.md"]
    assert conflict == await worker.merge(two, MERGED, "main")

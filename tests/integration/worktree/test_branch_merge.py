"""Merges happen without a checkout, one at a time per target, and never lose a side."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from heddle import pb
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc.git import refs

MERGED = "heddle/r1/merged"


def by_hand(script: str, config: Path) -> None:
    config.write_text("[user]\nname=Ada\nemail=ada@example.com\n")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(config)}
    subprocess.run(["sh", "-c", script], check=True, env=environment, capture_output=True)


async def finish_epic(worker: Worker, epic: str, files: dict[str, str]) -> str:
    path = await worker.ready(attempt(epic))
    for name, text in files.items():
        (path / name).write_text(text)
    await worker.commit(attempt(epic))
    return f"heddle/r1/epics/{epic}"


async def test_a_merge_has_both_parents_and_names_its_epic(worker: Worker) -> None:
    """A merge commit keeps the target first and carries the trailers of the resource."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    done = await worker.merge(source, MERGED, "main", "runs/r1/epics/api")
    parents = worker.git("log", "-1", "--format=%P", done.merged.commit).split()
    assert parents == [worker.git("rev-parse", "main"), worker.git("rev-parse", source)]
    message = worker.git("log", "-1", "--format=%B", done.merged.commit)
    assert message.endswith("Heddle-Run: runs/r1\nHeddle-Epic: api")
    assert worker.git("rev-parse", MERGED) == done.merged.commit


async def test_merging_twice_is_merging_once(worker: Worker) -> None:
    """Merging a source that the target contains already returns the target's commit."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    first = await worker.merge(source, MERGED, "main")
    second = await worker.merge(source, MERGED, "main")
    assert second.merged.already
    assert second.merged.commit == first.merged.commit


async def test_an_epic_without_commits_still_makes_the_target(worker: Worker) -> None:
    """A missing target is created even if there is nothing to merge."""
    await worker.ready(attempt())
    done = await worker.merge("heddle/r1/epics/api", MERGED, "main")
    assert done.merged.already
    assert worker.git("rev-parse", MERGED) == worker.git("rev-parse", "main")


async def test_a_conflict_changes_nothing_and_its_advice_resolves_it(worker: Worker, tmp_path: Path) -> None:
    """A conflict names its files; after its advised commands are run by hand, the next call succeeds."""
    one = await finish_epic(
        worker, "one", {"README.md": "one\n", "new file ✓.txt": "one\n", "fine.txt": "1\n"}
    )
    two = await finish_epic(worker, "two", {"README.md": "two\n", "new file ✓.txt": "two\n"})
    await worker.merge(one, MERGED, "main")
    before = worker.git("for-each-ref")
    done = await worker.merge(two, MERGED, "main")
    assert list(done.conflict.files) == ["README.md", "new file ✓.txt"]
    assert worker.git("for-each-ref") == before

    script = done.conflict.advice.replace(
        "# fix", "echo fixed > README.md; echo fixed > 'new file ✓.txt' # fix"
    )
    by_hand(script, tmp_path / "gitconfig")
    again = await worker.merge(two, MERGED, "main")
    assert again.merged.already
    assert worker.git("show", f"{MERGED}:README.md") == "fixed"
    assert worker.git("worktree", "list").count("\n") == 2


async def test_a_merge_by_hand_that_leaves_markers_is_refused(worker: Worker, tmp_path: Path) -> None:
    """A manual merge with conflict markers is refused with the files; once resolved, it counts as merged."""
    one = await finish_epic(worker, "one", {"README.md": "one\n", "gone\n; exit 7 #": "one\n"})
    two = await finish_epic(worker, "two", {"README.md": "two\n", "gone\n; exit 7 #": "two\n"})
    worker.git("tag", two, "main")
    await worker.merge(one, MERGED, "main")
    advice = (await worker.merge(two, MERGED, "main")).conflict.advice
    by_hand(advice.replace("git merge", "! git merge"), tmp_path / "gitconfig")
    error = await refused(worker.merge(two, MERGED, "main"))
    assert error.reason == pb.ERROR_REASON_MARKERS_LEFT
    assert "README.md" in error.message
    folder = tmp_path / "by hand"
    worker.git("worktree", "add", "--quiet", str(folder), MERGED)
    for name in ("README.md", "gone\n; exit 7 #"):
        (folder / name).write_text("both\n")
    git(folder, "commit", "--quiet", "--all", "--message=Resolve")
    git(folder, "switch", "--quiet", "--detach")
    assert (await worker.merge(two, MERGED, "main")).merged.already


async def test_many_merges_into_one_target_at_once(worker: Worker) -> None:
    """Eight epics that are merged at the same time are all in the target; none overwrites another."""
    sources = [await finish_epic(worker, f"e{number}", {f"{number}.txt": "x\n"}) for number in range(8)]
    await asyncio.gather(*(worker.merge(source, MERGED, "main") for source in sources))
    names = worker.git("ls-tree", "--name-only", MERGED).splitlines()
    assert {f"{number}.txt" for number in range(8)} <= set(names)


async def test_a_target_that_moves_meanwhile_is_merged_again(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the target moves between merge and ref update, its new commit stays and the merge is repeated."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    worker.git("branch", "target", "main")
    real, rivals = refs.try_update, iter(("first", "second"))

    def with_rival(*arguments: object) -> object:
        rival = next(rivals, None)
        if rival:
            tree = worker.git("rev-parse", "target^{tree}")
            commit = worker.git("commit-tree", "-p", "target", "-m", rival, tree)
            worker.git("update-ref", "refs/heads/target", commit)
        return real(*arguments)  # type: ignore[arg-type] # the arguments of the patched function, passed unchanged

    monkeypatch.setattr(refs, "try_update", with_rival)
    done = await worker.merge(source, "target")
    subjects = worker.git("log", "--first-parent", "--format=%s", "target").splitlines()
    assert subjects[1:] == ["second", "first", "Start"]
    assert worker.git("rev-parse", "target") == done.merged.commit


async def test_a_worktree_that_is_being_made_does_not_prevent_a_merge(worker: Worker) -> None:
    """A merge works while another git process adds a worktree, when git cannot list worktrees."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    half = worker.project / ".git" / "worktrees" / "half"
    half.mkdir(parents=True)
    for name in ("commondir", "gitdir"):
        (half / name).touch()
    assert (await worker.merge(source, "target", create_at="main")).merged.commit
    half.joinpath("HEAD").write_text("ref: refs/heads/target\n")
    assert (await refused(worker.merge(source, "target"))).reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT


async def test_a_target_checked_out_by_an_alias_is_refused(worker: Worker) -> None:
    """A branch also counts as checked out through a symbolic ref, or through a link that an old git made."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    worker.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    worker.git("symbolic-ref", "HEAD", "refs/heads/alias")
    assert (await refused(worker.merge(source, "main"))).reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    head = worker.project / ".git" / "HEAD"
    head.unlink()
    head.symlink_to("refs/heads/main")
    assert (await refused(worker.merge(source, "main"))).reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT


async def test_a_bare_repository_has_nothing_checked_out(tmp_path: Path) -> None:
    """The branch that the HEAD of a bare repository names may be moved."""
    project = tmp_path / "shop.git"
    git(make_repository(tmp_path / "shop", {"a.txt": "a\n"}), "clone", "--quiet", "--bare", ".", str(project))
    async with worktrees.worker(tmp_path / "home", project) as bare:
        source = await finish_epic(bare, "api", {"b.txt": "b\n"})
        assert (await bare.merge(source, "main")).merged.commit == bare.git("rev-parse", "main")


async def test_a_checkout_that_calls_itself_bare_is_a_checkout(worker: Worker) -> None:
    """A branch with a checkout is not moved although core.bare is true; the error says what to do."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    worker.git("config", "core.bare", "true")
    error = await refused(worker.merge(source, "main"))
    assert error.reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    assert "config core.bare false" in error.message
    worker.git("config", "core.bare", "false")
    assert worker.git("status", "--short") == ""


async def test_a_checked_out_target_is_refused(worker: Worker) -> None:
    """A branch that is checked out anywhere is not moved: the error names branch and path, and nothing changes."""
    source = await finish_epic(worker, "api", {"a.txt": "a\n"})
    before = fingerprint(worker.project)
    error = await refused(worker.merge(source, "main"))
    assert error.reason == pb.ERROR_REASON_BRANCH_CHECKED_OUT
    assert error.metadata == {"branch": "main", "path": str(worker.project)}
    assert fingerprint(worker.project) == before
    git(worker.project, "switch", "--detach")
    assert (await worker.merge(source, "main")).merged.commit == worker.git("rev-parse", "main")


@pytest.mark.parametrize(
    ("source", "target", "create_at", "reason"),
    [
        ("nowhere", "target", "main", pb.ERROR_REASON_UNKNOWN_REVISION),
        ("side", "target", "", pb.ERROR_REASON_UNKNOWN_REVISION),
        ("side", "target", "nowhere", pb.ERROR_REASON_UNKNOWN_REVISION),
        ("--all", "target", "main", pb.ERROR_REASON_INVALID_FIELD),
        ("side", "a..b", "main", pb.ERROR_REASON_INVALID_FIELD),
        ("side", "", "main", pb.ERROR_REASON_INVALID_FIELD),
        ("", "target", "main", pb.ERROR_REASON_INVALID_FIELD),
    ],
)
async def test_missing_names_are_errors(
    worker: Worker, source: str, target: str, create_at: str, reason: "pb.ErrorReason.ValueType"
) -> None:
    """A source, target or start that does not exist is an error that names it, and nothing is created."""
    worker.git("branch", "side", "main")
    before = worker.git("for-each-ref")
    assert (await refused(worker.merge(source, target, create_at))).reason == reason
    assert worker.git("for-each-ref") == before

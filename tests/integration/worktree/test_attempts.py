"""Successive attempts in one worktree: the work of each is kept, and stale attempts are refused."""

import asyncio
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

KEPT = "refs/heddle/attempts/r1/api/one"
FOUND = "refs/heddle/found/r1/api"


def files_of(worker: Worker, revision: str) -> set[str]:
    return set(worker.git("ls-tree", "-r", "-z", "--name-only", revision).strip("\0").split("\0"))


async def test_asking_again_leaves_work_in_progress_alone(worker: Worker) -> None:
    """EnsureWorktree twice for one attempt makes one worktree, and keeps the agent's files as they are."""
    first = await worker.ensure(attempt())
    path = Path(first.worktree.path)
    (path / "half-done.txt").write_text("the agent is at work\n")
    second = await worker.ensure(attempt())
    assert (first.created, second.created) == (True, False)
    assert second.worktree == first.worktree
    assert (path / "half-done.txt").exists()
    assert worker.git("for-each-ref", "refs/heddle/attempts") == ""


async def test_twenty_calls_for_one_attempt_make_one_worktree(worker: Worker) -> None:
    """Twenty concurrent EnsureWorktree calls for one attempt create one worktree."""
    made = await asyncio.gather(*(worker.ensure(attempt()) for _ in range(20)))
    assert [response.created for response in made].count(True) == 1
    assert worker.git("worktree", "list").count("\n") == 1


async def test_the_next_attempt_starts_clean_and_the_former_is_kept(worker: Worker) -> None:
    """Changed, deleted, untracked, executable and strangely named files are all kept; ignored ones stay in place."""
    path = await worker.ready(attempt())
    (path / "src" / "app.py").write_text("broken\n")
    (path / "README.md").unlink()
    odd = ["with space.txt", "-rf", "--all", "new\nline", "häkchen ✓.txt", "dir/-x", ":(top)magic", "*"]
    (path / "dir").mkdir()
    for name in odd:
        (path / name).write_text("odd\n")
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to("/etc/hostname")
    (path / "cache").mkdir()
    (path / "cache" / "big.bin").write_text("expensive to make\n")
    (path / ".heddle" / "screenshots").mkdir(parents=True)
    (path / ".heddle" / "screenshots" / "1.png").write_text("png\n")
    (path / ".playwright-mcp").mkdir()
    (path / ".playwright-mcp" / "page-1.png").write_text("png\n")

    await worker.ready(attempt(number=2))

    assert files_of(worker, f"{KEPT}/1") == {".gitignore", "src/app.py", "run.sh", "link", *odd}
    assert worker.git("show", f"{KEPT}/1:src/app.py") == "broken"
    assert worker.git("ls-tree", f"{KEPT}/1", "run.sh").startswith("100755")
    assert worker.git("ls-tree", f"{KEPT}/1", "link").startswith("120000")
    assert worker.git("rev-parse", f"{KEPT}/1^") == worker.git("rev-parse", "main")
    assert git(path, "status", "--porcelain") == ""
    left = {item.name for item in path.iterdir()}
    assert left == {".git", ".gitignore", "README.md", "src", "cache"}
    assert (path / "cache" / "big.bin").exists()


async def test_commits_of_an_agent_are_kept_with_their_history(worker: Worker) -> None:
    """An agent's own commits and later changes are reachable from the kept ref."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    git(path, "add", "a.txt")
    git(path, "commit", "-m", "The agent's own")
    own = git(path, "rev-parse", "HEAD")
    (path / "b.txt").write_text("b\n")
    kept = await worker.discard(attempt())
    assert kept.kept_ref == f"{KEPT}/1"
    assert kept.diff_stat.files == 2
    assert worker.git("rev-parse", f"{KEPT}/1^") == own
    assert {"a.txt", "b.txt"} <= files_of(worker, f"{KEPT}/1")
    assert git(path, "rev-parse", "HEAD") == worker.git("rev-parse", "main")
    assert worker.git("rev-parse", "heddle/r1/epics/api") == worker.git("rev-parse", "main")


async def test_discarding_twice_answers_the_same(worker: Worker) -> None:
    """A repeated DiscardAttempt returns the same kept ref; an attempt without changes has none."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    first = await worker.discard(attempt())
    assert await worker.discard(attempt()) == first
    assert first.kept_ref
    await worker.ready(attempt(task="two"))
    assert not (await worker.discard(attempt(task="two"))).kept_ref
    assert not (await worker.discard(attempt(epic="never-made"))).kept_ref


async def test_discarding_an_attempt_that_never_began_leaves_the_owner_alone(worker: Worker) -> None:
    """Discarding an attempt that never got the worktree keeps nothing; the owner's work is unchanged."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    for name in (attempt(number=2), attempt(task="two")):
        assert not (await worker.discard(name)).kept_ref
    assert (path / "a.txt").exists()
    assert (await worker.commit(attempt())).diff_stat.files == 1


async def test_changes_after_a_failed_attempt_are_not_attributed_to_it(worker: Worker) -> None:
    """Changes made after the end of an attempt are kept as found, and the answers say so until the next attempt."""
    path = await worker.ready(attempt())
    (path / "first.txt").write_text("1\n")
    await worker.discard(attempt())
    (path / "second.txt").write_text("2\n")
    answers = [await worker.ensure(attempt(number=2)) for _ in range(2)]
    for answer in answers:
        assert answer.found.kept_ref == f"{FOUND}/one/2"
        assert answer.found.after_attempt == str(attempt())
        assert answer.found.diff_stat.files == 1
    assert "second.txt" in files_of(worker, f"{FOUND}/one/2")
    assert "second.txt" not in files_of(worker, f"{KEPT}/1")
    assert "no attempt made it" in worker.git("log", "-1", "--format=%B", f"{FOUND}/one/2")
    assert not (await worker.ensure(attempt(number=3))).HasField("found")


async def test_found_changes_are_reported_to_the_attempt_that_gets_the_worktree(worker: Worker) -> None:
    """If preparing the worktree fails after changes were kept as found, the next answer reports them."""
    path = await worker.ready(attempt())
    await worker.commit(attempt())
    (path / "by-hand.txt").write_text("mine\n")
    request = pb.EnsureWorktreeRequest(
        project=worker.name, attempt=str(attempt(task="two")), epoch=1, merge_revision="no-such-branch"
    )
    error = await refused(worker.stub.EnsureWorktree(request))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION
    answer = await worker.ensure(attempt(task="two", number=2))
    assert answer.found.kept_ref == f"{FOUND}/two/1"
    assert "by-hand.txt" in files_of(worker, answer.found.kept_ref)


async def test_an_old_attempt_is_refused_everywhere(worker: Worker) -> None:
    """Once attempt 2 has the worktree, attempt 1 can no longer get it, commit or discard."""
    await worker.ready(attempt())
    path = await worker.ready(attempt(number=2))
    (path / "new.txt").write_text("of attempt 2\n")
    for call in (worker.ensure, worker.commit, worker.discard):
        error = await refused(call(attempt()))
        assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
        assert error.metadata["attempt"] == str(attempt(number=2))
    assert (path / "new.txt").exists()
    assert (await worker.commit(attempt(number=2))).diff_stat.files == 1


async def test_an_attempt_of_an_earlier_task_is_refused(worker: Worker) -> None:
    """A task that lost the worktree to the next task cannot get it back with the same attempt."""
    await worker.ready(attempt())
    await worker.commit(attempt())
    await worker.ready(attempt(task="two"))
    assert (await refused(worker.ensure(attempt()))).reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert (await worker.ready(attempt(number=2))).exists()
    assert (await refused(worker.commit(attempt(task="two")))).reason == pb.ERROR_REASON_STALE_ATTEMPT


async def test_committing_twice_is_one_commit(worker: Worker) -> None:
    """CommitTask repeated returns the same commit, also after the worktree is gone."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    first = await worker.commit(attempt())
    assert await worker.commit(attempt()) == first
    await worker.remove("runs/r1/epics/api")
    assert await worker.commit(attempt()) == first
    assert worker.git("rev-list", "--count", "main..heddle/r1/epics/api") == "1"


async def test_an_earlier_commit_is_found_again(worker: Worker) -> None:
    """CommitTask of an attempt that was accepted before later ones returns its commit and changes nothing."""
    commits = []
    for task in ("one", "two", "three"):
        await worker.ready(attempt(task=task))
        commits.append(await worker.commit(attempt(task=task), "Same words", "Heddle-Task: one"))
    before = worker.git("for-each-ref")
    assert await worker.commit(attempt()) == commits[0]
    assert await worker.commit(attempt(task="two")) == commits[1]
    assert worker.git("for-each-ref") == before


async def test_an_agents_commits_are_folded_into_one(worker: Worker) -> None:
    """However often an agent commits, its task becomes one commit with all changes and messages."""
    base = worker.git("rev-parse", "main")
    path = await worker.ready(attempt())
    for name in ("a", "b"):
        (path / name).write_text(name)
        git(path, "add", name)
        git(path, "commit", "-m", f"Add {name}\n\nBecause of {name}.\n\nHeddle-Task: forged")
    (path / "c").write_text("c")
    done = await worker.commit(attempt())
    body = worker.git("show", "--no-patch", "--format=%b", done.commit)
    assert body.startswith("Add a\n\nBecause of a.\n\nAdd b\n\nBecause of b.\n\nHeddle-Run: ")
    assert "forged" not in body
    assert worker.git("rev-parse", f"{done.commit}^") == base
    assert {"a", "b", "c"} <= files_of(worker, done.commit)
    assert git(path, "rev-parse", "HEAD") == done.commit
    assert git(path, "status", "--porcelain") == ""


async def test_files_that_appear_after_a_commit_are_kept(worker: Worker) -> None:
    """Files that appear between an accepted commit and the next attempt are kept as found and removed."""
    path = await worker.ready(attempt())
    await worker.commit(attempt())
    (path / "late.txt").write_text("late\n")
    answer = await worker.ensure(attempt(task="two"))
    assert not (path / "late.txt").exists()
    assert answer.found.after_attempt == str(attempt())
    assert "late.txt" in files_of(worker, f"{FOUND}/two/1")
    assert worker.git("for-each-ref", KEPT) == ""


async def test_artifacts_are_never_committed(worker: Worker) -> None:
    """Screenshots in .heddle are never committed, without an entry in an ignore file."""
    path = await worker.ready(attempt())
    (path / ".heddle").mkdir()
    (path / ".heddle" / "shot.png").write_text("png")
    (path / "docs" / ".heddle").mkdir(parents=True)
    (path / "docs" / ".heddle" / "real.txt").write_text("only the one at the top is ours")
    done = await worker.commit(attempt())
    assert files_of(worker, done.commit) >= {"docs/.heddle/real.txt"}
    assert ".heddle/shot.png" not in files_of(worker, done.commit)


async def test_an_attempt_may_go_on_with_the_work_of_another(worker: Worker) -> None:
    """The earlier attempt's work, committed or not, stays and is accepted together with the later work."""
    path = await worker.ready(attempt())
    (path / "committed.txt").write_text("1\n")
    git(path, "add", ".")
    git(path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "by the agent")
    (path / "half-done.txt").write_text("2\n")

    first = await worker.ensure(attempt(number=2), earlier=attempt())
    again = await worker.ensure(attempt(number=2), earlier=attempt())

    assert first.continued
    assert again == first
    assert (path / "half-done.txt").exists()
    assert (await refused(worker.commit(attempt()))).reason == pb.ERROR_REASON_STALE_ATTEMPT
    done = await worker.commit(attempt(number=2))
    assert {"committed.txt", "half-done.txt"} <= files_of(worker, done.commit)
    assert worker.git("log", "-1", "--format=%(trailers:key=Heddle-Attempt,valueonly)", done.commit) == "2"


@pytest.mark.parametrize("former", ["discarded", "followed"])
async def test_work_that_was_kept_since_is_brought_back(worker: Worker, former: str) -> None:
    """An attempt continues with the earlier one's exact files, even after a discard or another task."""
    path = await worker.ready(attempt())
    (path / "half-done.txt").write_text("2\n")
    (path / "README.md").unlink()
    if former == "discarded":
        await worker.discard(attempt())
    else:
        await worker.ready(attempt(task="two"))
        (path / "of-two.txt").write_text("x\n")
    assert (path / "README.md").exists()

    back = await worker.ensure(attempt(number=2), earlier=attempt())
    assert back.continued
    assert await worker.ensure(attempt(number=2), earlier=attempt()) == back
    assert (path / "half-done.txt").read_text() == "2\n"
    assert not (path / "README.md").exists()
    assert not (path / "of-two.txt").exists()
    done = await worker.commit(attempt(number=2))
    assert "half-done.txt" in files_of(worker, done.commit)
    assert "README.md" not in files_of(worker, done.commit)


async def test_work_that_is_gone_is_not_gone_on_with(worker: Worker) -> None:
    """If another task was accepted or the worktree removed since, nothing continues, and the answer says so."""
    path = await worker.ready(attempt())
    (path / "half-done.txt").write_text("2\n")
    await worker.ready(attempt(task="two"))
    (path / "two.txt").write_text("2\n")
    await worker.commit(attempt(task="two"))
    cleaned = await worker.ensure(attempt(number=2), earlier=attempt())
    assert not cleaned.continued
    assert not (path / "half-done.txt").exists()
    assert "half-done.txt" in files_of(worker, f"{KEPT}/1")

    (path / "more.txt").write_text("3\n")
    await worker.remove("runs/r1/epics/api")
    assert not (await worker.ensure(attempt(number=3), earlier=attempt(number=2))).continued
    assert not (path / "more.txt").exists()

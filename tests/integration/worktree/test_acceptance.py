"""What CommitTask refuses, marks and lists, with real git."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused


async def commit(
    worker: Worker,
    *,
    number: int = 1,
    expect: "pb.Expect.ValueType" = pb.EXPECT_UNSPECIFIED,
    allow: Sequence[str] = (),
    spans: Sequence[tuple[int, int]] = (),
) -> pb.CommitTaskResponse:
    request = pb.CommitTaskRequest(
        project=worker.name,
        attempt=str(attempt(number=number)),
        epoch=worker.epoch,
        subject="Work",
        expect=expect,
        allow_files=allow,
    )
    for begin, end in spans:
        span = request.agent_spans.add()
        span.start.FromNanoseconds(begin)
        span.end.FromNanoseconds(end)
    return await worker.stub.CommitTask(request)


def moment(probe: Path) -> int:
    """Returns a file system time after all earlier and before all later changes; its clock ticks in ms."""

    def later(than: int) -> int:
        probe.write_text("")
        while (now := probe.stat().st_ctime_ns) <= than:
            probe.write_text("")
        return now

    found = later(later(0))
    later(found)
    return found


async def test_an_empty_change_is_marked_or_refused_as_the_task_expects(worker: Worker) -> None:
    """`changes` refuses an empty change and `nothing` any other; answers say if an accepted one is empty."""
    path = await worker.ready(attempt())
    error = await refused(commit(worker, expect=pb.EXPECT_CHANGES))
    assert error.reason == pb.ERROR_REASON_CHANGE_REFUSED
    assert worker.git("rev-parse", "heddle/r1/epics/api") == worker.git("rev-parse", "main")
    (path / "a.txt").write_text("a\n")
    error = await refused(commit(worker, expect=pb.EXPECT_NOTHING))
    assert (error.reason, error.metadata["files"]) == (pb.ERROR_REASON_CHANGE_REFUSED, "a.txt")
    done = await commit(worker, expect=pb.EXPECT_CHANGES)
    assert not done.no_changes
    await worker.ensure(attempt(number=2))
    for _ in range(2):
        assert (await commit(worker, number=2, expect=pb.EXPECT_NOTHING)).no_changes


async def test_new_files_that_should_not_be_committed_are_refused(worker: Worker) -> None:
    """The error names each file; allowed, already tracked and renamed files are committed."""
    path = await worker.ready(attempt(task="zero"))
    (path / "web").mkdir()
    (path / "web" / "id_rsa").write_text("tracked\n")
    (path / "vendor" / "node_modules").mkdir(parents=True)
    (path / "vendor" / "node_modules" / "old.js").write_text("old\n")
    request = pb.CommitTaskRequest(
        project=worker.name, attempt=str(attempt(task="zero")), epoch=1, allow_files=["web", "vendor/**"]
    )
    await worker.stub.CommitTask(request)

    await worker.ready(attempt())
    (path / "web" / "id_rsa").rename(path / "id_rsa")
    (path / "vendor" / "node_modules" / "new.js").write_text("new\n")
    (path / "app.py").write_text("work\n")
    assert (await commit(worker)).diff_stat.files == 4

    await worker.ready(attempt(number=2))
    (path / ".env").write_text("SECRET=1\n")
    (path / "large.bin").touch()
    with (path / "large.bin").open("ab") as file:
        file.truncate((50 << 20) + 1)
    (path / "node_modules" / "left-pad").mkdir(parents=True)
    (path / "node_modules" / "left-pad" / "index.js").write_text("pad\n")
    # The same applies if the agent commits the file itself.
    git(path, "add", ".env")
    git(path, "commit", "-m", "The agent's own")
    error = await refused(commit(worker, number=2))
    assert error.reason == pb.ERROR_REASON_CHANGE_REFUSED
    for name in (".env (its name", "large.bin (50 MiB", "node_modules/ (1 files"):
        assert name in error.message
    (path / "large.bin").unlink()
    done = await commit(worker, number=2, allow=[".env*", "node_modules"])
    assert done.diff_stat.files == 2


async def test_a_bisect_that_is_not_over_is_refused(worker: Worker) -> None:
    """During a bisect, a commit is refused, as later files would be lost; after a bisect reset it succeeds."""
    path = await worker.ready(attempt())
    for name in ("a", "b", "c"):
        (path / f"{name}.txt").write_text(name)
        git(path, "add", ".")
        git(path, "commit", "-m", name)
    git(path, "bisect", "start", "HEAD", "HEAD~3")
    error = await refused(commit(worker))
    assert error.reason == pb.ERROR_REASON_UNFINISHED_OPERATION
    assert error.metadata["operation"] == "git bisect"
    # Old versions of git refuse `git bisect reset` alone in a worktree.
    assert "`git bisect reset HEAD && git switch heddle/r1/epics/api`" in error.message
    git(path, "bisect", "reset", "HEAD")
    git(path, "switch", "heddle/r1/epics/api")
    assert (await commit(worker)).diff_stat.files == 3


async def test_ignored_files_that_an_agent_wrote_are_named(worker: Worker, project: Path) -> None:
    """Ignored files from the given time spans are listed, except caches, also in the empty change's error."""
    (project / ".gitignore").write_text("cache/\nlib/\n*.gen\n*.pyc\n")
    git(project, "commit", "-qam", "Ignore more")
    path = await worker.ready(attempt())
    for folder in ("cache", "lib/inner", "lib/__pycache__"):
        (path / folder).mkdir(parents=True)
    (path / "cache" / "by-setup").write_text("setup\n")
    begin = moment(worker.home / "probe")
    (path / "lib" / "inner" / "u").write_text("u\n")
    (path / "lib" / "__pycache__" / "u.bin").write_text("cache\n")
    (path / "a.gen").write_text("a\n")
    first = (begin, moment(worker.home / "probe"))
    (path / "lib" / "by-check").write_text("check\n")
    await worker.discard(attempt())
    await worker.ensure(attempt(number=2))
    second = (moment(worker.home / "probe"), moment(worker.home / "probe"))

    error = await refused(commit(worker, number=2, expect=pb.EXPECT_CHANGES, spans=[first, second]))
    assert "git ignores what was written: a.gen, lib/inner/u" in error.message
    done = await commit(worker, number=2, spans=[first, second])
    assert done.no_changes
    assert (list(done.ignored_files.paths), done.ignored_files.count) == (["a.gen", "lib/inner/u"], 2)
    assert not (await commit(worker, number=2, spans=[second])).HasField("ignored_files")


@pytest.mark.parametrize("settled", [True, False])
async def test_a_change_that_was_refused_is_kept_like_any_other(worker: Worker, settled: bool) -> None:
    """DiscardAttempt keeps what CommitTask refused; without it, the next EnsureWorktree does."""
    path = await worker.ready(attempt())
    (path / ".env").write_text("SECRET=1\n")
    await refused(commit(worker))
    if settled:
        assert (await worker.discard(attempt())).kept_ref
    answer = await worker.ensure(attempt(number=2))
    assert not answer.HasField("found")
    assert worker.git("show", "refs/heddle/attempts/r1/api/one/1:.env") == "SECRET=1"

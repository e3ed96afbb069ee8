"""Waiting git processes are used once, replaced, and ended when they are too old or unusable."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heddle.errors import HeddleError
from tests.support.repositories import git, make_repository
from worktree_svc.git import refs
from worktree_svc.git.process.command import Git
from worktree_svc.git.process.waiting_processes import WaitingProcesses


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project")


@contextmanager
def waiting(project: Path, waiting: WaitingProcesses) -> Iterator[Git]:
    try:
        yield Git(project / ".git", git_dir=project / ".git", waiting=waiting)
    finally:
        waiting.close()


def running(project: Path) -> list[int]:
    """Returns the git processes of the repository."""
    wanted = f"--git-dir={project / '.git'}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found += [int(folder.name)] if wanted in words else []
    return found


def eventually(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def test_one_reader_answers_many_questions(project: Path) -> None:
    """A reader is reused, and replaced if it was killed; a missing object is not found."""
    with waiting(project, WaitingProcesses()) as repository:
        head = git(project, "rev-parse", "HEAD")
        assert repository.object_id("main^{commit}") == head
        (first,) = running(project)
        assert repository.object_id("nowhere") is None
        assert repository.object_id(f"main\n{head}") is None
        assert b"\n\nStart" in (repository.content(head) or b"")
        git(project, "commit", "--quiet", "--allow-empty", "--message=More")
        assert repository.object_id("main^") == head
        assert running(project) == [first]
        (process,) = (child.process for _, child in repository.waiting._waiting)  # killed without notice
        process.kill()
        process.stdout and process.stdout.read()
        assert repository.object_id("main^") == head
    assert running(project) == []


def test_a_spare_does_one_job(project: Path) -> None:
    """A spare process is replaced in the background after one job; truncated input moves no ref."""
    with waiting(project, WaitingProcesses()) as repository:
        head = git(project, "rev-parse", "HEAD")
        arguments = ("update-ref", "--stdin")
        text = f"start\ncreate refs/heads/one {head}\n"
        repository.run_spare(*arguments, stdin=text.encode())
        assert git(project, "for-each-ref", "refs/heads/one") == ""
        eventually(lambda: running(project))
        (spare,) = running(project)
        assert repository.run_spare(*arguments, stdin=f"{text}commit\n".encode()).code == 0
        assert git(project, "rev-parse", "one") == head
        eventually(lambda: running(project) not in ([], [spare]))


def test_the_old_are_ended(project: Path) -> None:
    """A process is ended when it waited too long, or immediately when its repository's settings changed."""
    with waiting(project, WaitingProcesses(oldest_seconds=0.2)) as repository:
        assert repository.object_id("main")
        eventually(lambda: not running(project))
    with waiting(project, WaitingProcesses()) as repository:
        assert repository.object_id("main")
        assert running(project)
        repository.waiting.drop(project / ".git")
        assert not running(project)


def test_one_comparer_compares_many(project: Path) -> None:
    """A comparer returns each difference completely and is not affected by a caller that stops early."""
    git(project, "commit", "--quiet", "--allow-empty", "--message=More")
    (project / "end.txt").write_text("end-of-it\n" * 20_000)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Much")
    older, newer = git(project, "rev-parse", "main^^{tree}", "main^{tree}").splitlines()
    text = git(project, "diff-tree", "--patch", older, newer).encode()
    with waiting(project, WaitingProcesses()) as repository:
        for _ in range(2):
            with repository.diff_tree(older, newer, "--patch") as pieces:
                assert b"".join(pieces).rstrip(b"\n") == text
        (first,) = running(project)
        with repository.diff_tree(older, newer, "--patch") as pieces:
            assert next(pieces)
        assert running(project) == []
        with repository.diff_tree(older, older, "--patch") as pieces:
            assert b"".join(pieces) == b""
        assert running(project) != [first]


def test_a_failed_comparison_is_an_error(project: Path) -> None:
    """A comparison that git cannot make is an error, not an empty difference."""
    tree = git(project, "rev-parse", "main^{tree}")
    with waiting(project, WaitingProcesses()) as repository:
        with (
            pytest.raises(HeddleError, match="usage: git diff-tree"),
            repository.diff_tree(tree, tree, "--no-such-option"),
        ):
            pass
        with pytest.raises(HeddleError, match="could not compare"), repository.diff_tree(tree, "0" * 40):
            pass
        assert running(project) == []
        (blob,) = git(project, "ls-tree", "--object-only", tree).splitlines()
        (project / ".git/objects" / blob[:2] / blob[2:]).unlink()
        empty = git(project, "hash-object", "-t", "tree", "-w", "/dev/null")
        with (
            pytest.raises(HeddleError, match=f"unable to read {blob}"),
            repository.diff_tree(empty, tree, "--patch") as pieces,
        ):
            list(pieces)


def test_one_process_moves_refs_again_and_again(project: Path) -> None:
    """Heddle's refs are moved by one process; a refused or interrupted transaction changes nothing, and the next one succeeds."""
    with waiting(project, WaitingProcesses()) as repository:
        head = git(project, "rev-parse", "HEAD")
        one, two = "refs/heddle/kept/one", "refs/heads/heddle/r1/two"
        refs.update(repository, [refs.RefUpdate(one, head, refs.ABSENT)])
        (mover,) = running(project)
        git(project, "commit", "--quiet", "--allow-empty", "--message=More")
        newer = git(project, "rev-parse", "HEAD")
        refs.update(repository, [refs.RefUpdate(one, newer, head), refs.RefUpdate(two, newer, refs.ABSENT)])
        git(project, "pack-refs", "--all")
        refs.update(repository, [refs.RefUpdate(two, head, newer)])
        assert running(project) == [mover]
        refused = [refs.RefUpdate(two, newer, head), refs.RefUpdate(one, head, refs.ABSENT)]
        assert "already exists" in refs.try_update(repository, refused).stderr
        assert refs.read(repository, one, two) == [newer, head]
        assert running(project) == []
        refs.update(repository, [refs.RefUpdate(two, newer, head)])
        (process,) = (child.process for _, child in repository.waiting._waiting)
        assert process.stdin is not None
        process.stdin.write(f"start\0update {two}\0{head}\0{newer}\0".encode())
        process.stdin.close()  # as when the service is killed
        process.wait(20)
        assert refs.read(repository, one, two) == [newer, newer]
        refs.update(repository, [refs.RefUpdate(two, head, newer)])
        assert refs.read(repository, two) == [head]

"""Worktrees that are prepared before an epic needs one."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import worktrees
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.worktrees import pool

PLENTY = 1 << 40


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(pool, "FEWEST_FILES", 1)
    return tmp_path / "home"


def members(home: Path) -> list[Path]:
    """Returns the prepared worktrees that are ready."""
    states = sorted((home / "pool").glob("*.json"))
    return [path.with_suffix("") for path in states if json.loads(path.read_text())["ready"]]


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 (a thread causes it: there is no event to wait for)
            await asyncio.sleep(0.01)


async def prepared(worker: Worker) -> Path:
    """Returns the worktree that the pool has prepared after the first epic started."""
    await worker.ready(attempt("first"))
    await until(lambda: members(worker.home))
    (member,) = members(worker.home)
    return member


async def test_an_epic_gets_the_prepared_worktree(home: Path, project: Path) -> None:
    """A prepared worktree is moved to the epic and updated to its base; another is prepared; no files are left over."""
    async with worktrees.worker(home, project, pool=1) as worker:
        member = await prepared(worker)
        identity = member.stat().st_ino
        (project / "README.md").write_text("# Newer\n")
        (project / "src" / "more.py").write_text("more\n")
        git(project, "rm", "--quiet", "src/app.py")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message=Newer")
        path = await worker.ready(attempt("second"))
        assert path.stat().st_ino == identity
        assert git(path, "status", "--porcelain", "--branch") == "## heddle/r1/epics/second"
        assert git(path, "rev-parse", "HEAD") == git(project, "rev-parse", "main")
        assert sorted(item.name for item in path.rglob("*.*") if item.name != ".git") == [
            ".gitignore",
            "README.md",
            "more.py",
        ]
        await until(lambda: members(home) not in ([], [member]))
        (path / "README.md").write_text("# Mine\n")
        commit = await worker.commit(attempt("second"))
        assert commit.diff_stat.files == 1
        for epic in ("first", "second"):
            await worker.remove(f"runs/r1/epics/{epic}")
        listed = git(project, "worktree", "list", "--porcelain").count("worktree ")
        assert listed == 1 + len(members(home))


async def test_the_next_service_finds_prepared_worktrees(home: Path, project: Path) -> None:
    """Complete prepared worktrees are reused; incomplete or partly moved ones are removed, in git too."""
    async with worktrees.worker(home, project, pool=1) as worker:
        member = await prepared(worker)
        half = home / "pool" / "pool-half"
        git(project, "worktree", "add", "--quiet", "--detach", str(half), "main")
    (home / "pool" / "pool-half.json").write_text(
        json.dumps({"top": str(project), "commit": "", "ready": False})
    )
    (home / "pool" / "pool-stray").mkdir()
    (home / "pool" / "pool-torn.json").write_text("{")
    async with worktrees.worker(home, project, pool=1) as worker:
        assert members(home) == [member]
        assert set((home / "pool").iterdir()) == {
            member,
            *(Path(f"{member}.{end}") for end in ("index", "json")),
        }
        identity = member.stat().st_ino
        assert (await worker.ready(attempt("second"))).stat().st_ino == identity
        await until(lambda: members(home))
    async with worktrees.worker(home, project) as worker:
        assert list((home / "pool").iterdir()) == []
        assert git(project, "worktree", "list", "--porcelain").count("worktree ") == 3


async def test_a_member_that_was_damaged_is_not_used(home: Path, project: Path) -> None:
    """If a prepared worktree is no longer registered in git, an epic gets a new one."""
    async with worktrees.worker(home, project, pool=1) as worker:
        member = await prepared(worker)
        git(project, "worktree", "remove", "--force", str(member))
        path = await worker.ready(attempt("second"))
        assert git(path, "status", "--porcelain", "--branch") == "## heddle/r1/epics/second"


async def test_work_has_priority_over_prepared_worktrees(home: Path, project: Path) -> None:
    """If the disk becomes full, prepared worktrees are removed first; then work is refused."""
    free = [PLENTY]

    def free_bytes(_: Path) -> int:
        return free[0] + (1 << 20 if not members(home) else 0)

    async with worktrees.worker(home, project, free_bytes, pool=1) as worker:
        await prepared(worker)
        free[0] = 1000
        await worker.ready(attempt("second"))
        assert members(home) == []
        free[0] = -PLENTY
        assert "MiB free" in (await refused(worker.ensure(attempt("third")))).message


async def test_forty_worktrees_at_once(home: Path, project: Path) -> None:
    """Forty epics get worktrees at the same time while the user adds worktrees too: none fails on a lock."""

    async def add_own() -> None:
        # One at a time: two `git worktree add` of git 2.39 fail on each other's incomplete files.
        for number in range(3):
            path = str(home.parent / f"own{number}")
            await asyncio.to_thread(git, project, "worktree", "add", "--quiet", "--detach", path, "main")

    async with worktrees.worker(home, project, pool=2) as worker:
        epics = [f"e{number}" for number in range(40)]
        paths, _ = await asyncio.gather(
            asyncio.gather(*(worker.ready(attempt(epic)) for epic in epics)),
            add_own(),
        )
        assert len(set(paths)) == 40
        for path, epic in zip(paths, epics, strict=True):
            assert (path / "README.md").is_file()
            assert (path / ".git").is_file()
            assert f"heddle/r1/epics/{epic}" in worker.git("branch", "--list", "heddle/*")
        listed = worker.git("worktree", "list", "--porcelain")
        assert listed.count("branch refs/heads/heddle/r1/epics/") == 40

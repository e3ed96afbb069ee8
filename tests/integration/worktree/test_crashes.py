"""If the service is killed while git works, repeated calls complete everything."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import grpc
import pytest

from heddle.errors import from_rpc
from tests.support import worktrees
from tests.support.fleet import Fleet
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, fingerprint
from worktree_svc.projects import locks

SERVICE = "worktree_svc"
EPICS = ("api", "ui")
TASKS = ("one", "two", "three")

Answer = TypeVar("Answer")


async def persist(call: Callable[..., Awaitable[Answer]], *arguments: object) -> Answer:
    """Repeats a call until the service answers, as the scheduler does."""
    while True:
        try:
            return await call(*arguments)
        except grpc.aio.AioRpcError as error:
            if from_rpc(error):
                raise
            await asyncio.sleep(0.02)  # the service is starting


async def run_epic(worker: Worker, epic: str) -> None:
    for task in TASKS:
        failed, good = attempt(epic, task, 1), attempt(epic, task, 2)
        path = Path((await persist(worker.ensure, failed)).worktree.path)
        (path / f"{task}-junk.txt").write_text("junk\n")
        (path / "README.md").unlink()
        await persist(worker.discard, failed)
        await persist(worker.ensure, good)
        (path / f"{epic}-{task}.txt").write_text("good\n")
        await persist(worker.commit, good, f"{epic}: {task}")
    await persist(worker.merge, f"heddle/r1/epics/{epic}", "heddle/r1/merged", "main")


async def keep_killing(fleet: Fleet, times: int) -> None:
    chance = random.Random(11)
    for _ in range(times):
        await asyncio.sleep(chance.uniform(0.0, 0.25))  # the moment of the kill is what varies here
        fleet.kill(SERVICE)
        await fleet.start(SERVICE)


async def test_killed_at_any_moment(tmp_path: Path, project: Path) -> None:
    """Despite kills, there is one commit per task, one kept ref per failure and no temporary file."""
    before = fingerprint(project)
    fleet = Fleet(tmp_path / "home", {"GIT_CONFIG_GLOBAL": "/dev/null"})
    try:
        await fleet.start(SERVICE)
        async with worktrees.connected(fleet, project) as worker:
            killer = asyncio.create_task(keep_killing(fleet, 5))
            await asyncio.gather(*(run_epic(worker, epic) for epic in EPICS))
            await killer
            check_history(worker)
            for epic in EPICS:
                await persist(worker.remove, f"runs/r1/epics/{epic}")
    finally:
        fleet.stop()
    assert fingerprint(project) == before
    assert list((fleet.home / "worktrees").iterdir()) == []
    assert list((project / ".git" / "worktrees").iterdir()) == []
    assert [path for path in tmp_path.rglob("*.lock") if path.name != "worktree.lock"] == []


def check_history(worker: Worker) -> None:
    for epic in EPICS:
        log = worker.git("log", "--first-parent", "--reverse", "--format=%s", f"main..heddle/r1/epics/{epic}")
        assert log.splitlines() == [f"{epic}: {task}" for task in TASKS]
        for task in TASKS:
            kept = f"refs/heddle/attempts/r1/{epic}/{task}/1"
            changes = worker.git("diff", "--name-status", f"{kept}^", kept).splitlines()
            assert changes == ["D\tREADME.md", f"A\t{task}-junk.txt"]
    names = worker.git("ls-tree", "--name-only", "heddle/r1/merged").splitlines()
    assert {f"{epic}-{task}.txt" for epic in EPICS for task in TASKS} <= set(names)


async def test_locks_of_a_machine_that_stopped_are_broken_at_the_start(tmp_path: Path, project: Path) -> None:
    """Locks of Heddle's own refs, left when git and the service died together, are removed at the start."""
    home = tmp_path / "home"
    async with worktrees.worker(home, project) as worker:
        await worker.ready(attempt())
        await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", "main")
    folder = project / ".git" / "refs"
    ours = [
        folder / name
        for name in (
            "heads/heddle/r1/merged.lock",
            "heddle/accepted/r1/api.lock",
            "heddle/attempts/r1/api/one/1.lock",
            "heddle/rewound/r1/api/one/1.lock",
            "heddle/merged/r1.lock",
        )
    ]
    theirs = [folder / "heads" / "main.lock", folder / "heads" / "heddle" / "r2" / "merged.lock"]
    for lock in (*ours, *theirs):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    async with worktrees.worker(home, project) as worker:
        assert [lock for lock in ours if lock.exists()] == []
        assert all(lock.exists() for lock in theirs)
        await worker.commit(attempt())
        await worker.merge("heddle/r1/epics/api", "heddle/r1/merged")


async def test_a_second_service_of_one_data_folder_is_refused(tmp_path: Path) -> None:
    """While one service uses a data folder, another one refuses to start and changes nothing."""
    lock = locks.HomeLock(tmp_path / "worktree.lock")
    with pytest.raises(locks.HomeInUseError, match="HEDDLE_HOME"):
        locks.HomeLock(tmp_path / "worktree.lock", patience=0)
    lock.release()
    locks.HomeLock(tmp_path / "worktree.lock", patience=0).release()


async def test_a_git_that_outlives_its_service_is_waited_for(tmp_path: Path, project: Path) -> None:
    """A checkout that continues after its service was killed ends before the next service serves."""
    begun, allowed = tmp_path / "begun", tmp_path / "allowed"
    slow = f"touch {begun}; while ! test -e {allowed}; do sleep 0.02; done; cat"
    config = tmp_path / "gitconfig"
    git(project, "config", "--file", str(config), "filter.slow.smudge", slow)
    (project / ".git" / "info" / "attributes").write_text("README.md filter=slow\n")
    fleet = Fleet(tmp_path / "home", {"GIT_CONFIG_GLOBAL": str(config)})
    try:
        await fleet.start(SERVICE)
        async with worktrees.connected(fleet, project) as worker:
            call = asyncio.ensure_future(persist(worker.ensure, attempt()))
            await until(begun.exists)
            fleet.kill(SERVICE)
            fleet.spawn(SERVICE)
            await until(lambda: "waiting_for_previous_service" in fleet.log(SERVICE))
            allowed.touch()
            path = Path((await call).worktree.path)
            assert git(path, "status", "--porcelain") == ""
    finally:
        allowed.touch()
        fleet.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (another process causes it: there is no event to wait for)
            await asyncio.sleep(0.02)

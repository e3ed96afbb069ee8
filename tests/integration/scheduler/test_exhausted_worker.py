"""A worker that runs out of disk, of file descriptors, or of memory for an agent."""

import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from heddle import pb
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.repositories import make_repository

IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


# Sessions, and descriptors for them: enough for some of the sessions, not for all.
CROWD = 16
FEW = 40


async def play(
    fleet: Fleet, repository: Path, agents: Sequence[str], all_begun: Callable[[], object] = lambda: None
) -> list[pb.Task]:
    """Runs a plan with an epic of one task for each agent; returns the tasks in order.

    Calls `all_begun` once the session of each task has started or failed.
    """
    plan = pb.Plan(name="Want", defaults=pb.TaskDefaults(retries=0))
    for number, agent in enumerate(agents):
        plan.epics.add(key=f"e{number}").tasks.add(key="t", prompt="Go", agent=agent)
    async with fleet.client(patience=60) as client:
        request = pb.CreateRunRequest(plan=plan, project=str(repository), max_parallel=len(agents))
        run = (await client.create_run(request)).name
        begun: set[str] = set()
        async for answer in client.watch_run(run):
            begun |= {
                event.epic
                for event in answer.events
                if event.WhichOneof("payload") in {"session_started", "task_failed"}
            }
            if len(begun) == len(agents):
                all_begun()
        return await client.list_tasks(f"{run}/epics/-")


def has_namespaces() -> bool:
    """Says whether this user may mount a file system that only its own processes see."""
    try:
        tried = subprocess.run(
            [*IN_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="no small disk can be made here")
async def test_full_disk(tmp_path: Path) -> None:
    """The attempt that fills the disk fails with that reason; once there is space, the services continue."""
    repository = make_repository(tmp_path / "repository")
    fleet = Fleet(tmp_path / "home")
    (spool := fleet.home / "spool").mkdir()
    mount = f"mount -t tmpfs -o size=1m none {spool} && exec {sys.executable} -m agent_svc"
    fleet.commands["agent_svc"] = [*IN_NAMESPACE, "sh", "-c", mount]
    try:
        await fleet.start(*GRPC_SERVICES)
        lives = {name: process.pid for name, process in fleet._processes.items()}
        (task,) = await play(fleet, repository, ["command:head -c 4000000 /dev/urandom | od"])
        assert task.state == pb.TASK_STATE_FAILED
        assert task.reason == "the worker's disk is full; make room below its HEDDLE_HOME"
        full = Path(f"/proc/{lives['agent_svc']}/root{spool}")
        for log in full.glob("*/*/*/*/events.log"):
            log.unlink()
        (task,) = await play(fleet, repository, ["command:echo x > x"])
        assert task.state == pb.TASK_STATE_ACCEPTED, task.reason
        assert lives == {
            name: process.pid for name, process in fleet._processes.items() if process.poll() is None
        }
    finally:
        fleet.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process that already runs")
async def test_no_descriptors(tmp_path: Path) -> None:
    """A session that lacks file descriptors fails with that reason; others and the services continue."""
    repository = make_repository(tmp_path / "repository")
    (place := tmp_path / "place").mkdir()
    go = place / "go"
    fleet = Fleet(tmp_path / "home", {"HEDDLE_SLOTS": str(CROWD), "HEDDLE_SANDBOX_WRITABLE": str(place)})
    try:
        await fleet.start(*GRPC_SERVICES)
        pid = fleet._processes["agent_svc"].pid
        limit = psutil.Process(pid).num_fds() + FEW
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
        wait = f"command:echo x > $HEDDLE_EPIC; until test -e {go}; do sleep 0.1; done"
        # No session ends before each has started or failed.
        tasks = await play(fleet, repository, [wait] * CROWD, all_begun=go.touch)
        failed = [task.reason for task in tasks if task.state == pb.TASK_STATE_FAILED]
        accepted = [task for task in tasks if task.state == pb.TASK_STATE_ACCEPTED]
        assert failed, "there were enough descriptors for all"
        assert accepted
        assert [
            reason for reason in failed if "file descriptors" not in reason and "open files" not in reason
        ] == []
        (task,) = await play(fleet, repository, ["command:echo y > y"])
        assert task.state == pb.TASK_STATE_ACCEPTED, task.reason
        assert all(process.poll() is None for process in fleet._processes.values())
    finally:
        fleet.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="how much memory a process uses is read from /proc")
async def test_no_memory(tmp_path: Path) -> None:
    """An agent that exceeds its memory limit is ended with its descendants, and its task says why."""
    repository = make_repository(tmp_path / "repository")
    fleet = Fleet(tmp_path / "home", {"HEDDLE_AGENT_MEMORY": str(64 << 20)})
    hungry = "import time; held = bytearray(b'x') * (200 << 20); time.sleep(60)"
    try:
        await fleet.start(*GRPC_SERVICES)
        greedy, modest = await play(
            fleet,
            repository,
            [f'command:{sys.executable} -c "{hungry}" & wait', "command:sleep 1; echo x > x"],
        )
    finally:
        fleet.stop()
    assert greedy.state == pb.TASK_STATE_FAILED
    assert "MiB of memory, more than HEDDLE_AGENT_MEMORY allows" in greedy.reason
    assert modest.state == pb.TASK_STATE_ACCEPTED, modest.reason

"""No process outlives its session, whatever it does to hide and whichever process is killed."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from agent_svc.processes import supervised, supervisor
from agent_svc.sandbox.bubblewrap import PROGRAM
from agent_svc.sessions import session as session_module
from heddle import pb
from tests.support.agents import (
    DEADLINE,
    AgentProcess,
    Agents,
    HeldTimer,
    agents,
    all_gone,
    ending,
    living,
    output,
)

# Each hides a process that runs for minutes, with MARK in its command line.
SETSID = "setsid sleep 300.MARK & echo hidden; wait"
DEAF = "trap '' TERM; sleep 300.MARK & echo hidden; wait; sleep 301.MARK"
DOUBLE_FORK = f"""{sys.executable} -I -S -c '
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("hidden", flush=True)
        os.closerange(0, 3)
        time.sleep(300)  # MARK
    os._exit(0)
os.wait()
time.sleep(300)  # MARK
'"""

# In a sandbox (with bubblewrap) the kernel helps; without one, only Heddle ends the processes.
HIDERS = pytest.mark.parametrize(
    ("hider", "sandbox"),
    [(SETSID, "auto"), (DEAF, "auto"), (SETSID, "off"), (DOUBLE_FORK, "off")],
    ids=["setsid_sandboxed", "deaf_sandboxed", "setsid", "double_fork"],
)


@pytest.fixture(name="mark")
def _mark() -> Iterator[str]:
    """Digits that appear in no other command line; processes that have them are killed after the test."""
    mark = str(uuid.uuid4().int)[:24]
    yield mark
    for process in living(mark):
        process.kill()


def supervisor_of(service: psutil.Process) -> psutil.Process:
    """Returns the supervisor of the only session, sandboxed or not."""
    return next(
        each
        for each in service.children(recursive=True)
        if supervisor.__file__ in each.cmdline() and each.name() != PROGRAM
    )


async def start_hidden(worker: Agents, hider: str, mark: str, timeout: float | None = None) -> str:
    """Starts an agent that hides a process, and returns once that process runs."""
    attempt = await worker.start(f"command:{hider.replace('MARK', mark)}", timeout=timeout)
    await worker.until_says(attempt, "hidden")
    assert living(mark)
    return attempt


@HIDERS
async def test_stop_leaves_nothing(tmp_path: Path, mark: str, hider: str, sandbox: str) -> None:
    """When a stop is acknowledged, the agent and all its descendants have ended."""
    async with agents(tmp_path, HEDDLE_SANDBOX=sandbox) as worker:
        attempt = await start_hidden(worker, hider, mark)
        session = await worker.stop(attempt)
        assert living(mark) == []
        assert session.state == pb.SESSION_STATE_FINISHED
        assert session.result.outcome == pb.OUTCOME_STOPPED
        assert session.result.reason == "the test says so"


@HIDERS
async def test_end_of_agent_ends_leftovers(tmp_path: Path, mark: str, hider: str, sandbox: str) -> None:
    """Processes that an agent left in the background are gone when its session ends."""
    async with agents(tmp_path, HEDDLE_SANDBOX=sandbox) as worker:
        detached = hider.replace("'", "'\\''")
        go = "until test -e go; do sleep 0.02; done"
        attempt = await start_hidden(worker, f"sh -c '{detached}' & {go}", mark)
        (worker.worktree / "go").touch()
        assert ending(await worker.events(attempt))[0] == "SUCCEEDED"
        assert living(mark) == []


@HIDERS
async def test_timeout_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, hider: str, sandbox: str
) -> None:
    """A session that exceeds its time limit ends with its whole process tree."""
    monkeypatch.setattr(session_module, "Timer", HeldTimer)
    async with agents(tmp_path, HEDDLE_SANDBOX=sandbox) as worker:
        attempt = await start_hidden(worker, hider, mark, timeout=90)
        assert HeldTimer.newest.seconds == 90
        HeldTimer.newest.end()
        assert ending(await worker.events(attempt)) == ("TIMED_OUT", "over its time limit of 90 s")
        assert living(mark) == []


@HIDERS
async def test_shutdown_leaves_nothing(tmp_path: Path, mark: str, hider: str, sandbox: str) -> None:
    """On SIGTERM, agent_svc ends every session as lost and leaves no process."""
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX=sandbox)
    async with service.serving() as worker:
        attempt = await start_hidden(worker, hider, mark)
        watching = asyncio.create_task(worker.events(attempt))
        assert service.process is not None
        service.process.terminate()
        assert ending(await watching) == ("INTERRUPTED", "its worker was shut down")
        await asyncio.to_thread(service.process.wait, DEADLINE)
        assert living(mark) == []


@HIDERS
async def test_killed_service_leaves_nothing(tmp_path: Path, mark: str, hider: str, sandbox: str) -> None:
    """After SIGKILL of agent_svc all session processes end, and the next one reports the sessions as lost."""
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX=sandbox)
    async with service.serving() as worker:
        attempt = await start_hidden(worker, hider, mark)
        before = [event async for event in _first(worker, attempt)]
    async with service.serving() as worker:
        events = await worker.events(attempt)
        assert living(mark) == []
        assert events[: len(before)] == before
        assert ending(events) == ("LOST", "agent_svc was killed while the session ran")
        assert (await worker.session(attempt)).start_time == events[0].time
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    await all_gone(mark)


async def _first(worker: Agents, attempt: str) -> AsyncIterator[pb.Event]:
    async for event in worker.watch(attempt):
        yield event
        if "hidden" in event.output.text:
            return


@HIDERS
async def test_killed_supervisor_leaves_nothing(tmp_path: Path, mark: str, hider: str, sandbox: str) -> None:
    """If a supervisor is killed, its session is lost and no process remains."""
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX=sandbox)
    async with service.serving() as worker:
        attempt = await start_hidden(worker, hider, mark)
        assert service.process is not None
        supervisor_of(service.process).kill()
        assert ending(await worker.events(attempt)) == ("LOST", "the agent's supervisor was killed")
        assert living(mark) == []
        assert service.process.children() == []


async def test_broken_supervisor_leaves_nothing(tmp_path: Path, mark: str) -> None:
    """A supervisor that ends without ending its process tree is detected, whatever its exit code."""
    broken = tmp_path / "broken.py"
    source = Path(supervisor.__file__).read_text()
    broken.write_text(
        source.replace("        self._end_tree()\n        return", "        os._exit(1)\n        return")
    )
    launcher = "import sys; from agent_svc import __main__; from agent_svc.processes import supervisor; supervisor.__file__ = sys.argv[1]; "
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX="off")
    service.arguments = ["-c", f"{launcher}sys.exit(__main__.main())", str(broken)]
    async with service.serving() as worker:
        attempt = await start_hidden(worker, SETSID, mark)
        session = await worker.stop(attempt)
        assert session.result.outcome == pb.OUTCOME_STOPPED
        assert living(mark) == []


async def test_killed_with_its_supervisors(tmp_path: Path, mark: str) -> None:
    """If agent_svc and a supervisor are killed, the next agent_svc ends the processes, then reports the end."""
    service = AgentProcess(tmp_path, HEDDLE_SANDBOX="off")
    async with service.serving() as worker:
        attempt = await start_hidden(worker, SETSID, mark)
        assert service.process is not None
        (child,) = service.process.children()
        service.process.suspend()
        child.kill()
        service.process.kill()
        await asyncio.to_thread(service.process.wait)
        assert living(mark)
    async with service.serving() as worker:
        assert ending(await worker.events(attempt))[0] == "LOST"
        assert living(mark) == []


async def test_stop_while_checks_run(tmp_path: Path, mark: str) -> None:
    """A stop during a check ends the check's process tree; later checks do not run."""
    async with agents(tmp_path) as worker:
        checks = {"first": f"setsid sleep 300.{mark} & echo > ready; wait", "second": "true"}
        attempt = await worker.start("command:true", checks=checks)
        await worker.until_says(attempt, "Check 'first'")
        async with asyncio.timeout(DEADLINE):
            while not (worker.worktree / "ready").exists():  # noqa: ASYNC110 (a file sends no notification)
                await asyncio.sleep(0.01)
        session = await worker.stop(attempt)
        assert living(mark) == []
        assert session.result.outcome == pb.OUTCOME_STOPPED
        reports = [
            event.check_finished for event in await worker.events(attempt) if event.HasField("check_finished")
        ]
        assert [report.name for report in reports] == ["first"]
        assert not reports[0].HasField("exit_code")


async def test_stop_twice(tmp_path: Path, mark: str) -> None:
    """A repeated stop, concurrent or later, gives the same answer and changes nothing."""
    async with agents(tmp_path) as worker:
        attempt = await start_hidden(worker, DEAF, mark)
        first, second = await asyncio.gather(worker.stop(attempt), worker.stop(attempt))
        third = await worker.stop(attempt)
        assert first == second == third


async def test_second_stop_may_hurry(tmp_path: Path, mark: str) -> None:
    """A second stop without a grace period cuts short the first stop's grace period."""
    async with agents(tmp_path) as worker:
        attempt = await start_hidden(worker, DEAF, mark)
        patient = asyncio.create_task(worker.stop(attempt, grace=600))
        await worker.stop(attempt, grace=0)
        assert (await patient).result.outcome == pb.OUTCOME_STOPPED


async def test_agent_may_end_politely(tmp_path: Path) -> None:
    """Output that an agent writes after SIGTERM is still logged."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start("command:trap 'echo goodbye; exit 0' TERM; echo ready; sleep 60 & wait")
        await worker.until_says(attempt, "ready")
        await worker.stop(attempt, grace=20)
        assert "goodbye" in output(await worker.events(attempt))


async def test_newer_attempt_replaces_older(tmp_path: Path, mark: str) -> None:
    """Attempts of one task never overlap: the older one has ended before the newer one starts."""
    async with agents(tmp_path) as worker:
        older = await start_hidden(worker, DEAF, mark)
        newer = await worker.start(f"command:ps -A -o args | grep -c '[s]leep 300.{mark}'", number=2)
        assert output(await worker.events(newer)) == "0\n"
        assert ending(await worker.events(older)) == ("STOPPED", "attempt 2 replaced it")


async def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """Fifty sessions leak no descriptor, process or thread."""
    async with agents(tmp_path, HEDDLE_SLOTS="50") as worker:
        await worker.run("command:echo hi", task="warm", checks={"c": "true"})
        before, others = descriptors(), psutil.Process().children()
        attempts = [
            await worker.start("command:echo hi; sleep 0.1", task=f"t{number}", checks={"c": "true"})
            for number in range(50)
        ]
        for attempt in attempts:
            assert ending(await worker.events(attempt))[0] == "SUCCEEDED"
        assert descriptors() <= before
        assert psutil.Process().children() == others
        assert list((tmp_path / "home/tmp").iterdir()) == []


def descriptors() -> int:
    return psutil.Process().num_fds()


async def test_pipe_held_by_a_stranger(tmp_path: Path) -> None:
    """A process outside the tree that keeps the agent's output open does not delay the session's end."""
    async with agents(tmp_path) as worker:
        await worker.run("command:true", task="warm")
        before = descriptors()
        attempt = await worker.start("command:echo ready; sleep 60")
        event = await worker.until(attempt, lambda event: event.HasField("session_started"))
        await worker.until_says(attempt, "ready")
        held = os.open(f"/proc/{event.session_started.process_id}/fd/1", os.O_WRONLY)
        try:
            session = await worker.stop(attempt)
            assert descriptors() <= before + 1
        finally:
            os.close(held)
        assert session.result.outcome == pb.OUTCOME_STOPPED


async def test_supervisor_obeys_sigterm(tmp_path: Path, mark: str) -> None:
    """SIGTERM to a supervisor, such as from an operator, ends its process tree."""
    async with agents(tmp_path) as worker:
        attempt = await start_hidden(worker, SETSID, mark)
        supervisor_of(psutil.Process()).terminate()
        assert ending(await worker.events(attempt)) == ("FAILED", "the agent was ended by SIGTERM")
        assert living(mark) == []


async def test_processes_are_found_where_no_subreaper_keeps_them(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, a process that left its supervisor's tree is ended with the session, by its environment."""
    monkeypatch.setattr(supervised, "HAS_SUBREAPERS", False)
    async with agents(tmp_path, HEDDLE_SANDBOX="off") as worker:
        attempt = await start_hidden(worker, SETSID, mark)
        (child,) = (
            each for each in psutil.Process().children() if "supervisor.py" in " ".join(each.cmdline())
        )
        child.kill()
        assert ending(await worker.events(attempt))[0] == "LOST"
        assert living(mark) == []

"""The project's setup runs before the agent of a session."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent_svc.sessions import setup_commands
from heddle import pb
from tests.support.agents import (
    AgentProcess,
    Agents,
    HeldTimer,
    agents,
    all_gone,
    ending,
    kinds,
    living,
    output,
    own_sleep,
    payloads,
    seconds,
)


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


def setup(*commands: str, timeout: float = 60) -> pb.Setup:
    return pb.Setup(commands=commands, timeout=seconds(timeout), incarnation="abc")


async def test_setup_runs_before_the_agent_in_its_place(
    worker: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setup runs in order in the worktree, with the session's environment, without secrets, and is logged."""
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "hunter2")
    attempt = await worker.start(
        "command:cat made",
        setup=setup("echo first $PORT; echo one > made", 'echo two >> made; echo "[$SECRET_OF_THE_SERVICE]"'),
        environment={"PORT": "20000"},
        # The limit of the session without its setup.
        timeout=30,
    )
    events = await worker.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    assert output(events) == "first 20000\n[]\none\ntwo\n"
    assert "Setup: echo first" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    order = [kind for kind in kinds(events) if kind in {"setup_finished", "session_started"}]
    assert order == ["setup_finished", "session_started"]
    finished = payloads(events, "setup_finished")[0].setup_finished
    assert (finished.ok, finished.incarnation, finished.output) == (True, "abc", "")


@pytest.mark.parametrize(
    ("command", "reason", "code"),
    [
        ("echo no network >&2; exit 7", "command '{}' failed with exit code 7:\nno network", 7),
        ("kill -9 $$", "command '{}' was ended by a signal or did not start", None),
        ("echo waiting; sleep 600", "over its time limit of 60 s:\nwaiting", None),
    ],
    ids=["fails", "killed", "slow"],
)
async def test_a_failed_setup_keeps_the_agent_from_starting(
    worker: Agents, monkeypatch: pytest.MonkeyPatch, command: str, reason: str, code: int | None
) -> None:
    """The session ends as SETUP_FAILED with the output; no later command, agent or check runs."""
    monkeypatch.setattr(setup_commands, "Timer", HeldTimer)
    attempt = await worker.start(
        "command:echo the agent", setup=setup(command, "echo later", timeout=60), checks={"never": "true"}
    )
    if "time limit" in reason:
        await worker.until(attempt, lambda event: event.output.text == "waiting\n")
        assert HeldTimer.newest.seconds == 60
        HeldTimer.newest.end()
    events = await worker.events(attempt)
    assert ending(events) == ("SETUP_FAILED", f"the project's setup failed: {reason.format(command)}")
    assert not {"session_started", "check_finished"} & {*kinds(events)}
    assert "later" not in output(events)
    finished = payloads(events, "setup_finished")[0].setup_finished
    assert not finished.ok
    assert (finished.exit_code if finished.HasField("exit_code") else None) == code


async def test_setup_can_be_stopped(worker: Agents) -> None:
    """A stop ends setup and all its processes, and counts as a stop, not as a setup failure."""
    sleep = own_sleep(613)
    attempt = await worker.start("command:echo the agent", setup=setup(f"setsid {sleep} & echo begun; wait"))
    await worker.until_says(attempt, "begun")
    await worker.stop(attempt, grace=0.2)
    assert not living(sleep)
    events = await worker.events(attempt)
    assert ending(events) == ("STOPPED", "the test says so")
    assert not payloads(events, "setup_finished")


async def test_setup_of_a_killed_service_is_over(tmp_path: Path) -> None:
    """If the service is killed during setup, setup's processes end and the session is reported as lost."""
    process, sleep = AgentProcess(tmp_path), own_sleep(614)
    async with process.serving() as worker:
        attempt = await worker.start("command:echo the agent", setup=setup(f"echo begun; {sleep}"))
        await worker.until_says(attempt, "begun")
        assert process.process is not None
        process.process.kill()
    async with process.serving() as worker:
        events = await worker.events(attempt)
        assert ending(events)[0] == "LOST"
        assert not payloads(events, "setup_finished")
    await all_gone(sleep)


async def test_setup_agent_and_checks_never_wait_for_a_person(worker: Agents) -> None:
    """An editor, or a prompt on the terminal or standard input, fails at once in each of the three."""
    asks = (
        'git init -q . && git commit -q --allow-empty; test $? != 0 && ! read x && ! sh -c "read x </dev/tty"'
    )
    attempt = await worker.start(f"command:{asks}", setup=setup(asks), checks={"asks": asks}, timeout=30)
    events = await worker.events(attempt)
    assert ending(events) == ("SUCCEEDED", "")
    said = output(events) + output(events, pb.OUTPUT_STREAM_STDERR)
    assert said.count("no editor is available") >= 2
    (check,) = [each.check_finished for each in payloads(events, "check_finished")]
    assert check.ok
    assert "no editor is available" in check.output

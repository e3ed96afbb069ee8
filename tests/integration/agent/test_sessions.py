import asyncio
import errno
import os
import random
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest

from agent_svc.agents.catalogue import Catalogue
from agent_svc.agents.command.driver import CommandDriver, CommandTranslator
from agent_svc.app import build
from agent_svc.log import event_log, recorder
from heddle import errors, pb
from heddle.config import ConfigError
from heddle.files.worktree_paths import record_file_of
from heddle.testing.driver_stage import make_worktree
from tests.support.agents import (
    DEADLINE,
    EPIC,
    AgentProcess,
    Agents,
    Step,
    agents,
    attempt_name,
    ending,
    kinds,
    output,
    seconds,
    settings,
)
from tests.support.services import serving

FOREVER = "command:echo ready; sleep 60"


async def refused(call: Awaitable[object]) -> errors.HeddleError:
    """Returns the error that a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = errors.from_rpc(caught.value)
    assert error is not None
    return error


async def test_start_twice_is_one_session(tmp_path: Path) -> None:
    """Starting a known attempt returns its session unchanged, running or finished."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start("command:echo run >> count; read line", prompt="x\n")
        await worker.start("command:echo run >> count")
        await worker.events(attempt)
        await worker.start("command:echo run >> count")
        assert (worker.worktree / "count").read_text() == "run\n"
        assert (await worker.session(attempt)).state == pb.SESSION_STATE_FINISHED


async def test_start_at_once_is_one_session(tmp_path: Path) -> None:
    """Many simultaneous calls start one agent."""
    async with agents(tmp_path) as worker:
        await asyncio.gather(*(worker.start("command:echo run >> count") for _ in range(20)))
        await worker.events(attempt_name())
        assert (worker.worktree / "count").read_text() == "run\n"


async def test_known_attempt_after_restart(tmp_path: Path) -> None:
    """After a restart a finished session is still known, with its complete log."""
    async with agents(tmp_path) as worker:
        before = await worker.run("command:echo run >> count; echo hi", checks={"c": "true"})
    async with agents(tmp_path) as worker:
        attempt = await worker.start("command:echo run >> count")
        assert await worker.events(attempt) == before
        session = await worker.session(attempt)
        assert session.last_sequence == len(before)
        assert session.result == before[-1].session_finished
        assert (worker.worktree / "count").read_text() == "run\n"


async def test_unknown_agent_lists_what_there_is(tmp_path: Path) -> None:
    """An agent that this worker lacks is refused, with the names of the available ones."""
    async with agents(tmp_path) as worker:
        for agent in ("gandalf", "command:", ""):
            error = await refused(worker.start(agent))
            assert error.reason == pb.ERROR_REASON_UNKNOWN_AGENT
            assert "scripted" in error.message
            assert "command:" in error.message


async def test_bad_fields_are_named(tmp_path: Path) -> None:
    """A malformed name, environment or earlier attempt is refused, and the error names its field."""
    async with agents(tmp_path) as worker:
        assert (await refused(worker.start(task="../up"))).reason == pb.ERROR_REASON_INVALID_FIELD
        error = await refused(worker.start(environment={"A=B": "c"}))
        assert error.violations[0].field == "environment"
        error = await refused(worker.start(resume="runs/other/epics/e/tasks/t/attempts/1", number=2))
        assert error.violations[0].field == "resume_attempt"


@pytest.mark.parametrize("how", ["absent", "link", "foreign"])
async def test_a_session_starts_only_in_a_worktree_of_its_epic(tmp_path: Path, how: str) -> None:
    """The path comes from the attempt's name; a folder that worktree_svc did not record is refused, as is a link."""
    async with agents(tmp_path) as worker:
        worker.worktree = other = worker.worktree.with_name("other")
        if how == "link":
            other.symlink_to(tmp_path)
            record_file_of(other).write_text("{}")
        if how == "foreign":
            other.mkdir()
        error = await refused(worker.start("command:touch here"))
        assert (error.reason, error.violations[0].field) == (pb.ERROR_REASON_INVALID_FIELD, "attempt")
        assert not (other / "here").exists()


async def test_no_slot(tmp_path: Path) -> None:
    """A worker without a free slot refuses; a slot is free as soon as the session's end is visible."""
    async with agents(tmp_path, HEDDLE_SLOTS="2") as worker:
        attempts = [await worker.start(FOREVER, task=task) for task in ("a", "b")]
        error = await refused(worker.start(task="c"))
        assert (error.reason, error.metadata["slots"]) == (pb.ERROR_REASON_NO_SLOT, "2")
        response = await worker.stub.GetWorker(pb.GetWorkerRequest())
        assert (response.worker.slots, response.worker.running_sessions) == (2, 2)
        watching = asyncio.create_task(worker.events(attempts[0]))
        await worker.stop(attempts[0])
        await watching
        await worker.start(task="c")


async def test_slot_is_free_when_the_end_is_seen(tmp_path: Path) -> None:
    """A client that sees session_finished can start the next session in the same slot."""
    async with agents(tmp_path, HEDDLE_SLOTS="1") as worker:
        for number in range(10):
            attempt = await worker.start("command:true", task=f"t{number}")
            last = await worker.until(attempt, lambda event: event.HasField("session_finished"))
            state = (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker
            assert (state.slots, state.running_sessions) == (1, 0)
            assert last.session_finished.outcome == pb.OUTCOME_SUCCEEDED


async def test_low_disk_is_refused(tmp_path: Path) -> None:
    """Below the low-water mark nothing starts, and the message says what to do."""
    async with agents(tmp_path, HEDDLE_MIN_FREE_BYTES=str(1 << 60)) as worker:
        error = await refused(worker.start())
        assert error.reason == pb.ERROR_REASON_DISK_FULL
        assert "HEDDLE_MIN_FREE_BYTES" in error.message
        found = (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker
        assert "HEDDLE_MIN_FREE_BYTES" in found.full


async def test_stale_epoch_is_refused(tmp_path: Path) -> None:
    """A deposed leader can neither start, stop nor answer, even after a restart."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start(FOREVER, epoch=5)
        assert (await refused(worker.start(task="u", epoch=4))).reason == pb.ERROR_REASON_STALE_EPOCH
        assert (await refused(worker.stop(attempt, epoch=4))).reason == pb.ERROR_REASON_STALE_EPOCH
        error = await refused(worker.answer(attempt, "x", approved=True))
        assert error.reason == pb.ERROR_REASON_STALE_EPOCH
        await worker.stop(attempt, epoch=5)
    async with agents(tmp_path) as worker:
        assert (await refused(worker.start(task="u", epoch=4))).reason == pb.ERROR_REASON_STALE_EPOCH


async def test_stale_attempt_is_refused(tmp_path: Path) -> None:
    """An attempt older than a known one is refused, even after a restart."""
    async with agents(tmp_path) as worker:
        await worker.run("command:true", number=10)
    async with agents(tmp_path) as worker:
        error = await refused(worker.start("command:true", number=9))
        assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
        assert error.metadata["attempt"] == attempt_name(number=10)


async def test_unknown_session_is_not_found(tmp_path: Path) -> None:
    """Every call on a session that does not exist returns NOT_FOUND."""
    async with agents(tmp_path) as worker:
        attempt = attempt_name("unknown")
        for call in (
            worker.session(attempt),
            worker.stop(attempt),
            worker.events(attempt),
            worker.answer(attempt, "x", approved=True),
            worker.fetch(attempt, "sha256:" + "0" * 64),
            worker.fetch(attempt, "sha256:../../spec.pb"),
        ):
            assert (await refused(call)).reason == pb.ERROR_REASON_NOT_FOUND


async def test_answers_that_cannot_be_given(tmp_path: Path) -> None:
    """An unknown approval is not found; a finished session accepts no answer."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start(FOREVER)
        error = await refused(worker.answer(attempt, "approval-1", approved=True))
        assert error.reason == pb.ERROR_REASON_NOT_FOUND
        await worker.stop(attempt)
        error = await refused(worker.answer(attempt, "approval-1", approved=True))
        assert error.reason == pb.ERROR_REASON_WRONG_STATE


async def test_answer_that_comes_too_late(tmp_path: Path) -> None:
    """A question that was still open when the session ended accepts no answer."""
    async with agents(tmp_path) as worker:
        script = [Step(ask=Step.Ask(question="May I?"))]
        attempt = await worker.start(script=script)
        asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
        await worker.stop(attempt)
        error = await refused(worker.answer(attempt, asked.approval_requested.approval_id, approved=True))
        assert error.reason == pb.ERROR_REASON_WRONG_STATE


async def test_watch_resumes_anywhere(tmp_path: Path) -> None:
    """A watch returns the same events, whatever sequence it starts after."""
    async with agents(tmp_path) as worker:
        say = [Step(say=Step.Say(text=f"Line {number}")) for number in range(60)]
        attempt = await worker.start(script=[*say, Step(flood=Step.Flood(lines=20000))])
        live = await worker.events(attempt)
        assert [event.sequence for event in live] == list(range(1, len(live) + 1))
        for after in [*range(0, len(live), 7), len(live)]:
            assert await worker.events(attempt, after) == live[after:]


async def test_watchers_that_disconnect_see_the_same(tmp_path: Path) -> None:
    """Watchers that disconnect at random and resume from their last number see the same events."""
    async with agents(tmp_path) as worker:
        script = [Step(say=Step.Say(text=f"Message {number} of many")) for number in range(40)]
        attempt = await worker.start(script=script, environment={"HEDDLE_SCRIPT_SPEED": "0.3"})
        lists = await asyncio.gather(*(_unsteady(worker, attempt, seed) for seed in range(5)))
        steady = await worker.events(attempt)
        assert all(seen == steady for seen in lists)


async def _unsteady(worker: Agents, attempt: str, seed: int) -> list[pb.Event]:
    chance = random.Random(seed)
    seen: list[pb.Event] = []
    while not (seen and seen[-1].HasField("session_finished")):
        patience = chance.randrange(1, 12)
        async for event in worker.watch(attempt, len(seen)):
            seen.append(event)
            patience -= 1
            if not patience:
                break
    return seen


async def test_responses_are_bounded(tmp_path: Path) -> None:
    """No response is larger than 256 KiB, and each contains the number to resume from."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start(script=[Step(flood=Step.Flood(lines=30000))])
        await worker.events(attempt)
        call = worker.stub.WatchSession(pb.AgentServiceWatchSessionRequest(attempt=attempt))
        responses = [response async for response in call]
        assert len(responses) > 1
        assert max(response.ByteSize() for response in responses) <= 256 << 10
        assert all(response.resume_sequence == response.events[-1].sequence for response in responses)


async def test_idle_watch_sends_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle watch sends its position."""
    monkeypatch.setattr(recorder, "CHECKPOINT", 0.05)
    async with agents(tmp_path) as worker:
        attempt = await worker.start(FOREVER)
        async with asyncio.timeout(DEADLINE):
            call = worker.stub.WatchSession(pb.AgentServiceWatchSessionRequest(attempt=attempt))
            last = 0
            async for response in call:
                if not response.events and response.resume_sequence == 2:
                    break
                last = response.resume_sequence
        assert last == 2
        await worker.stop(attempt)


async def test_watch_beyond_the_end(tmp_path: Path) -> None:
    """A sequence that does not exist yet is out of range."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start("command:true")
        events = await worker.events(attempt)
        for after in (len(events) + 1, -1):
            error = await refused(worker.events(attempt, after))
            assert error.reason == pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE


async def test_list_pages(tmp_path: Path) -> None:
    """Sessions are listed by name in pages, either all or only the running ones."""
    async with agents(tmp_path) as worker:
        for number in range(5):
            await worker.run("command:true", task=f"t{number}")
        running = await worker.start(FOREVER, task="t9")
        names: list[str] = []
        token = ""
        while True:
            request = pb.ListSessionsRequest(page_size=2, page_token=token)
            response = await worker.stub.ListSessions(request)
            assert len(response.sessions) <= 2
            names += [session.attempt for session in response.sessions]
            token = response.next_page_token
            if not token:
                break
        assert names == [attempt_name(f"t{number}") for number in (0, 1, 2, 3, 4, 9)]
        response = await worker.stub.ListSessions(pb.ListSessionsRequest(running_only=True))
        assert [session.attempt for session in response.sessions] == [running]


async def test_worker_says_what_it_has(tmp_path: Path) -> None:
    """GetWorker returns the name, the slots, and each agent with a detail."""
    async with agents(tmp_path, HEDDLE_WORKER_NAME="w1", HEDDLE_SLOTS="3") as worker:
        found = (await worker.stub.GetWorker(pb.GetWorkerRequest())).worker
        assert (found.name, found.slots, found.running_sessions) == ("workers/w1", 3, 0)
        available = {program.name for program in found.agents if program.available}
        # Whether the others are installed depends on this machine.
        assert available >= {"scripted", "command:"}
        assert all(program.detail for program in found.agents)


async def test_home_has_one_owner(tmp_path: Path) -> None:
    """A second agent_svc on the same home is refused, and the error says what to do."""
    async with agents(tmp_path):
        with pytest.raises(ConfigError, match="HEDDLE_HOME"):
            build(settings(tmp_path / "home"))


async def test_full_disk_fails_the_session_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fills up, the session ends with that reason, and the service continues to run."""
    real = event_log._write
    full = False

    def write(file: int, data: bytes) -> None:
        if full and (tmp_path / "home/spool/r/e/t/1/reserve").exists():
            os.write(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, data)

    monkeypatch.setattr(event_log, "_write", write)
    async with agents(tmp_path) as worker:
        attempt = await worker.start("command:echo one; read line < go; echo two; sleep 60; echo three")
        os.mkfifo(worker.worktree / "go")
        await worker.until_says(attempt, "one")
        full = True
        await asyncio.to_thread((worker.worktree / "go").write_text, "go\n")
        events = await worker.events(attempt)
        outcome, reason = ending(events)
        assert outcome == "FAILED"
        assert "disk is full" in reason
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert ending(await worker.run("command:true", task="other"))[0] == "SUCCEEDED"


class BrokenDriver(CommandDriver):
    """A driver whose translator raises an unforeseen error."""

    def translator(self) -> CommandTranslator:
        return BrokenTranslator()


class BrokenTranslator(CommandTranslator):
    def stdout(self, data: bytes) -> list[pb.Event]:
        raise RuntimeError(f"cannot read {len(data)} bytes")


async def test_defect_of_a_driver_fails_the_session(tmp_path: Path) -> None:
    """A defect of a driver fails its session with a reason, and does not leave the agent blocked."""
    service = build(settings(tmp_path / "home"), catalogue=Catalogue([BrokenDriver()]))
    async with serving(service) as channel:
        worker = Agents(channel, make_worktree(tmp_path / "home", EPIC))
        outcome, reason = ending(await worker.run("command:yes"))
        assert outcome == "FAILED"
        assert "defect" in reason


async def test_flood_keeps_memory_bounded(tmp_path: Path) -> None:
    """A flood of 100,000 lines does not stay in memory."""
    service = AgentProcess(tmp_path, HEDDLE_SESSION_TEXT="0")
    async with service.serving() as worker:
        assert service.process is not None
        await worker.run("command:true", task="warm")
        before = service.process.memory_info().rss
        command = "command:yes 'a line of one hundred bytes, more or less, to fill the pipe of the agent' | head -n 1000000"
        events = await worker.run(command, task="flood")
        assert output(events).count("\n") == 1_000_000
        grown = service.process.memory_info().rss - before
        assert grown < 48 << 20


async def test_no_watcher_no_loss(tmp_path: Path) -> None:
    """Events that occur without a watcher reach later watchers."""
    async with agents(tmp_path) as worker:
        attempt = await worker.start(
            script=[Step(say=Step.Say(text="Unheard")), Step(wait=Step.Wait(duration=seconds(0.2)))]
        )
        async with asyncio.timeout(DEADLINE):
            while (await worker.session(attempt)).state != pb.SESSION_STATE_FINISHED:  # noqa: ASYNC110 (the test must not watch)
                await asyncio.sleep(0.02)
        assert kinds(await worker.events(attempt)) == ["session_started", "message", "session_finished"]

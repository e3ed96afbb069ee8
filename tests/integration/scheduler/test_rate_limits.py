"""A rate-limited provider: its agents' tasks wait and continue automatically."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake

DONE = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 14, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def limited(seconds: int | None) -> pb.SessionFinished:
    retry_after = None if seconds is None else Duration(seconds=seconds)
    return pb.SessionFinished(
        outcome=pb.OUTCOME_RATE_LIMITED, reason="429: slow down", retry_after=retry_after
    )


async def reason_of(scheduler: Scheduler, run: str, task: str, reason: str) -> None:
    """Returns once a task waits with `reason`."""

    async def waits() -> bool:
        found = (await scheduler.tasks(run))[task]
        return found.state == pb.TASK_STATE_PENDING and found.reason == reason

    await eventually(waits)


async def holds(scheduler: Scheduler) -> dict[str, pb.Hold]:
    answer = await scheduler.api.ListHolds(pb.ListHoldsRequest())
    return {hold.provider: hold for hold in answer.holds}


@contextmanager
def refused(code: grpc.StatusCode) -> Iterator[None]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        yield
    assert error.value.code() is code


async def test_tasks_of_a_limited_agent_wait_and_others_go_on(worker: FakeWorker, tmp_path: Path) -> None:
    """A limit uses no retry and holds only its agent's tasks; then the session continues with its files."""
    clock = Clock()
    worker.slots = 1

    async def play(session: FakeSession) -> pb.SessionFinished:
        first = session.name.epic == "a" and session.name.number == 1
        return limited(300) if first else DONE

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"], "c": ["one"]}, agent="scripted")
    plan.epics[2].tasks[0].agent = "command:true"
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(plan)

        events = await scheduler.until(
            run, lambda event: event.epic == "c" and event.HasField("task_accepted")
        )

        [waiting] = [event for event in events if event.HasField("task_waiting")]
        assert (waiting.epic, waiting.task) == ("a", "one")
        assert waiting.task_waiting.parked
        assert waiting.task_waiting.reason == "rate-limited until 14:05 UTC"
        assert waiting.task_waiting.until.ToDatetime(UTC) == clock.now + timedelta(seconds=300)
        assert not [event for event in events if event.HasField("task_failed")]
        tasks = await scheduler.tasks(run)
        assert tasks["a/one"].state == pb.TASK_STATE_PENDING
        assert tasks["a/one"].reason == "rate-limited until 14:05 UTC"
        assert tasks["a/one"].latest_attempt.state == pb.ATTEMPT_STATE_PARKED
        assert tasks["b/one"].attempt_count == 0

        clock.move(301)

        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        assert (await scheduler.tasks(run))["a/one"].attempt_count == 2
    earlier = f"{run}/epics/a/tasks/one/attempts/1"
    [again] = [each for each in worker.called("StartSession") if each.attempt == earlier[:-1] + "2"]
    assert (again.resume_attempt, again.files_kept, again.prompt) == (earlier, True, "Do one")
    assert not worker.called("DiscardAttempt")


async def test_a_provider_that_says_nothing_gets_ever_longer(worker: FakeWorker, tmp_path: Path) -> None:
    """If the provider names no delay or a short one, a limit holds ten seconds and doubles each time."""
    clock = Clock()
    ends = [limited(None), limited(1), limited(None)]

    async def play(session: FakeSession) -> pb.SessionFinished:
        return ends[session.name.number - 1] if session.name.number <= len(ends) else DONE

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="command:true"))
        await reason_of(scheduler, run, "a/one", "rate-limited until 14:00:40 UTC")
        clock.move(10)
        await reason_of(scheduler, run, "a/one", "rate-limited until 14:01:00 UTC")
        clock.move(20)
        await reason_of(scheduler, run, "a/one", "rate-limited until 14:01:40 UTC")
        assert (await holds(scheduler))["command:true"].failures == 3
        clock.move(40)

        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        # The accepted task shows that the provider works: the next limit starts at the shortest delay again.
        ends[:] = [limited(None)]
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="command:true"))
        await reason_of(scheduler, run, "a/one", "rate-limited until 14:01:50 UTC")
    # The work did not fail, so the prompt mentions no failure.
    assert {request.prompt for request in worker.called("StartSession")} == {"Do one"}


async def test_a_limit_ends_when_its_provider_says(worker: FakeWorker, tmp_path: Path) -> None:
    """If the provider names the end of a limit, the hold lasts exactly until then, even for days."""
    clock = Clock()
    moment = clock.now + timedelta(days=5)
    ended = limited(60)
    ended.retry_time.FromDatetime(moment)

    async def play(session: FakeSession) -> pb.SessionFinished:
        return ended if session.name.number == 1 else DONE

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="scripted"))
        await reason_of(scheduler, run, "a/one", "rate-limited until 2026-01-07 14:00 UTC")
        assert (await holds(scheduler))["scripted"].until == _timestamp(moment)


async def _pass_holds(scheduler: Scheduler, clock: Clock) -> None:
    """Moves the clock to the end of every hold that has one."""
    for hold in (await holds(scheduler)).values():
        if hold.HasField("until"):
            clock.now = max(clock.now, hold.until.ToDatetime(UTC))


def _timestamp(moment: datetime) -> Timestamp:
    told = Timestamp()
    told.FromDatetime(moment)
    return told


async def test_agents_of_one_provider_wait_together(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """Claude Code and its ACP adapter share a hold, codex is not held; afterwards one session tries first."""
    worker.programs = ("scripted", "claude", "codex", "acp:claude-agent-acp")
    clock = Clock()
    tried = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.epic in {"a", "b"}:
            if session.name.number == 1:
                return limited(None)
            await tried.wait()
        return DONE

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"], "c": ["one"], "d": ["one"]}, agent="claude")
    plan.epics[2].depends_on.append("d")
    plan.epics[2].tasks[0].agent = "acp:claude-agent-acp"
    plan.epics[3].tasks[0].agent = "codex"
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, clock=clock) as scheduler,
    ):
        run = await scheduler.create(plan)

        async def limit_is_known() -> bool:
            tasks = await scheduler.tasks(run)
            reasons = {tasks[f"{key}/one"].reason for key in "ab"}
            # Two limits at the same time count as one: the delay does not double.
            return (
                reasons == {"rate-limited until 14:00:40 UTC"}
                and tasks["d/one"].state == pb.TASK_STATE_ACCEPTED
            )

        await eventually(limit_is_known)
        assert not [each for each in worker.called("StartSession") if each.agent.startswith("acp:")]
        clock.move(11)

        def begun() -> list[str]:
            return [each.attempt for each in worker.called("StartSession") if each.agent != "codex"][2:]

        await eventually(lambda: len(begun()) == 1)
        # The scheduler decides again, and sees that one session tries already.
        other = await scheduler.create(make_plan({"x": ["one"]}, agent="codex"))
        await scheduler.finished(other)
        assert len(begun()) == 1
        tried.set()
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        assert len(begun()) == 3


async def test_an_operator_lifts_a_hold(worker: FakeWorker, tmp_path: Path) -> None:
    """A hold lists the runs and tasks that wait, and until when; once it is lifted, they continue at once."""
    clock = Clock()

    async def play(session: FakeSession) -> pb.SessionFinished:
        return limited(3600) if session.name.number == 1 else DONE

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one", "two"]}, agent="scripted"))
        await reason_of(scheduler, run, "a/one", "rate-limited until 15:00 UTC")
        with refused(grpc.StatusCode.NOT_FOUND):
            await scheduler.api.LiftHold(pb.LiftHoldRequest(provider="anthropic"))
        hold = (await holds(scheduler))["scripted"]
        assert (hold.cause, hold.reason, hold.failures) == (pb.OUTCOME_RATE_LIMITED, "429: slow down", 1)
        assert (list(hold.runs), hold.waiting_tasks) == ([run], 2)
        assert hold.create_time.ToDatetime(UTC) == clock.now

        lift = pb.LiftHoldRequest(provider="scripted", request_id="once")
        await scheduler.api.LiftHold(lift)
        await scheduler.api.LiftHold(lift)

        events = await scheduler.until(
            run, lambda event: event.task == "one" and event.HasField("task_accepted")
        )
        [lifted] = [event for event in events if event.HasField("hold_lifted")]
        assert (lifted.actor, lifted.task, lifted.hold_lifted.provider) == ("user:ada", "one", "scripted")


@pytest.mark.parametrize(
    ("outcome", "said", "why"),
    [
        (pb.OUTCOME_UNAUTHORIZED, "refused: log in", "refused: log in"),
        (pb.OUTCOME_OUT_OF_CREDIT, "", "the account has no credit left"),
    ],
)
async def test_what_a_person_must_settle_pauses_the_run(
    worker: FakeWorker, tmp_path: Path, outcome: "pb.Outcome.ValueType", said: str, why: str
) -> None:
    """A refused login or empty account uses no retry: runs are paused with instructions, then resumed."""
    refusing = True

    async def play(_: FakeSession) -> pb.SessionFinished:
        return pb.SessionFinished(outcome=outcome, reason=said) if refusing else DONE

    worker.play = play
    plan = make_plan({"a": ["one", "two"]}, agent="scripted", retries=0)
    async with serving_fake(worker) as address, scheduling(address, tmp_path) as scheduler:
        first = await scheduler.create(plan)
        events = await scheduler.until(first, lambda event: event.HasField("run_paused"))
        [waiting] = [event.task_waiting for event in events if event.HasField("task_waiting")]
        assert (waiting.reason, waiting.parked, waiting.HasField("until")) == (why, True, False)
        paused = await scheduler.run(first)
        assert (paused.state, paused.held_by) == (pb.RUN_STATE_PAUSED, "scripted")
        again = f"heddle resume {first.removeprefix('runs/')}"
        assert paused.reason == f"scripted is on hold: {why}; then `{again}`"
        hold = (await holds(scheduler))["scripted"]
        assert (hold.cause, hold.HasField("until"), hold.waiting_tasks) == (outcome, False, 2)

        # The hold is known already, so no session starts.
        second = await scheduler.create(plan)
        await scheduler.until(second, lambda event: event.HasField("run_paused"))
        assert len(worker.called("StartSession")) == 1
        # A run that is resumed too early costs one session.
        await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=first))
        await scheduler.until(first, lambda event: event.HasField("run_paused"), paused.sequence)
        assert len(worker.called("StartSession")) == 2

        refusing = False
        answer = await scheduler.api.LiftHold(pb.LiftHoldRequest(provider="scripted"))
        assert sorted(answer.resumed_runs) == sorted([first, second])
        for run in (first, second):
            await scheduler.finished(run)
            ended = await scheduler.run(run)
            assert (ended.state, ended.held_by) == (pb.RUN_STATE_SUCCEEDED, "")


async def test_a_provider_that_stays_away_pauses_the_run(worker: FakeWorker, tmp_path: Path) -> None:
    """A provider that is down is tried again with growing delays; then the run is paused for the operator."""
    clock = Clock()
    down = pb.SessionFinished(outcome=pb.OUTCOME_PROVIDER_UNAVAILABLE, reason="503: down")
    is_down = True

    async def play(_: FakeSession) -> pb.SessionFinished:
        return down if is_down else DONE

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="scripted", retries=0))
        await reason_of(scheduler, run, "a/one", "provider unavailable until 14:00:40 UTC")

        async def paused() -> bool:
            await _pass_holds(scheduler, clock)
            return (await scheduler.run(run)).state == pb.RUN_STATE_PAUSED

        await eventually(paused)
        assert "503: down" in (await scheduler.run(run)).reason
        assert (await scheduler.tasks(run))["a/one"].attempt_count == 7

        is_down = False
        await scheduler.api.ResumeRun(pb.ResumeRunRequest(name=run))
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED


async def test_a_provider_that_breaks_every_session_is_not_tried_for_ever(
    worker: FakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every session makes progress and is then cut off, the task fails after MAX_OUTAGES in a row."""
    monkeypatch.setattr("scheduler_svc.store.outcomes.provider_outages.MAX_OUTAGES", 2)
    clock = Clock()

    async def play(session: FakeSession) -> pb.SessionFinished:
        session.emit(tool_started=pb.ToolStarted(tool_call_id="1", name="Read"))
        return pb.SessionFinished(outcome=pb.OUTCOME_PROVIDER_UNAVAILABLE, reason="the connection broke")

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="scripted", retries=0))

        async def failed() -> bool:
            await _pass_holds(scheduler, clock)
            return (await scheduler.run(run)).state == pb.RUN_STATE_FAILED

        await eventually(failed)
        task = (await scheduler.tasks(run))["a/one"]
        assert (task.state, task.attempt_count) == (pb.TASK_STATE_FAILED, 3)


async def test_attempts_that_fail_at_once_are_spaced_out(worker: FakeWorker, tmp_path: Path) -> None:
    """Each attempt that fails within seconds doubles its task's delay; a longer one causes none."""
    clock = Clock()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.epic == "b":
            return DONE
        if session.name.number == 3:
            clock.move(30)
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="no")

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        plan = make_plan({"a": ["one"], "b": ["one", "two"]}, agent="scripted", retries=3)
        run = await scheduler.create(plan)
        seen = 0
        for seconds in (1, 2):
            failed = (await _next_failure(scheduler, run, seen))[-1]
            seen = failed.sequence
            wait = failed.task_failed.retry_time.ToDatetime(UTC) - clock.now
            assert wait == timedelta(seconds=seconds)
            clock.move(seconds)
        # The third worked for half a minute, so the fourth starts at once.
        third = (await _next_failure(scheduler, run, seen))[-1]
        assert third.attempt == 3
        assert third.task_failed.will_retry
        assert not third.task_failed.HasField("retry_time")
        events = await scheduler.finished(run)
        assert (await scheduler.tasks(run))["a/one"].attempt_count == 4
        accepted = [event.sequence for event in events if event.HasField("task_accepted")]
        assert len(accepted) == 2


async def _next_failure(scheduler: Scheduler, run: str, after: int) -> list[pb.Event]:
    return await scheduler.until(run, lambda event: event.HasField("task_failed"), after)

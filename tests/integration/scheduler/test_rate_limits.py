"""A provider that takes no more work for now: its agent's tasks wait, and go on by themselves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import eventually, make_plan, scheduling, serving_fake


class Clock:
    """Time that a test moves by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 14, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def limited(seconds: int | None) -> pb.SessionFinished:
    retry_after = None if seconds is None else Duration(seconds=seconds)
    return pb.SessionFinished(
        outcome=pb.OUTCOME_RATE_LIMITED, reason="429: slow down", retry_after=retry_after
    )


async def test_tasks_of_a_limited_agent_wait_and_others_go_on(worker: FakeWorker, tmp_path: Path) -> None:
    """The limit uses up no retry, holds all tasks of its agent, and no other's; then work goes on by itself."""
    clock = Clock()
    worker.slots = 1

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.epic == "a" and session.name.number == 1:
            return limited(300)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

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
        assert waiting.task_waiting.reason == "rate-limited until 14:05 UTC"
        assert waiting.task_waiting.until.ToDatetime(UTC) == clock.now + timedelta(seconds=300)
        [failed] = [event.task_failed for event in events if event.HasField("task_failed")]
        assert failed.will_retry
        assert failed.reason == "429: slow down"
        tasks = await scheduler.tasks(run)
        assert tasks["a/one"].state == pb.TASK_STATE_PENDING
        assert tasks["a/one"].reason == "rate-limited until 14:05 UTC"
        assert tasks["b/one"].attempt_count == 0

        clock.now += timedelta(seconds=301)

        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
        assert (await scheduler.tasks(run))["a/one"].attempt_count == 2


async def test_a_provider_that_says_nothing_gets_ever_longer(worker: FakeWorker, tmp_path: Path) -> None:
    """Without a retry-after the agent waits a minute; a limit that comes again at once holds it twice as long."""
    clock = Clock()

    async def play(session: FakeSession) -> pb.SessionFinished:
        return limited(None) if session.name.number < 3 else pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as scheduler:
        run = await scheduler.create(make_plan({"a": ["one"]}, agent="command:true"))

        async def waits_for(attempt: int, reason: str) -> bool:
            task = (await scheduler.tasks(run))["a/one"]
            return task.attempt_count == attempt and task.reason == reason

        await eventually(lambda: waits_for(1, "rate-limited until 14:01 UTC"))
        clock.now += timedelta(seconds=61)
        await eventually(lambda: waits_for(2, "rate-limited until 14:03 UTC"))
        clock.now += timedelta(seconds=121)

        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    # Nothing was wrong with the work, so there is nothing to remind of.
    assert {request.prompt for request in worker.called("StartSession")} == {"Do one"}


async def test_agents_of_one_provider_wait_together(
    worker: FakeWorker, database_url: str, tmp_path: Path
) -> None:
    """Claude Code and its ACP adapter meet the same limits; codex does not. Two at once are one limit, not a growing one."""
    worker.programs = ("scripted", "claude", "codex", "acp:claude-agent-acp")
    clock = Clock()

    async def play(session: FakeSession) -> pb.SessionFinished:
        if session.name.epic in {"a", "b"} and session.name.number == 1:
            return limited(None)
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

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
            return (
                reasons == {"rate-limited until 14:01 UTC"} and tasks["d/one"].state == pb.TASK_STATE_ACCEPTED
            )

        await eventually(limit_is_known)
        assert not [each for each in worker.called("StartSession") if each.agent.startswith("acp:")]
        clock.now += timedelta(seconds=61)
        await scheduler.finished(run)
        assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED

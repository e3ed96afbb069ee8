"""Schedules, which start runs at recurring times."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.testing.fake_session import succeed
from heddle.testing.fake_worker import FakeWorker
from tests.integration.scheduler.test_operator import hold, reason_of
from tests.support.scheduler import Scheduler, eventually, make_plan, scheduling, serving_fake


@dataclass
class Clock:
    """A clock that a test sets."""

    now: datetime = datetime(2026, 6, 1, 11, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def scheduler(worker: FakeWorker, clock: Clock, tmp_path: Path) -> AsyncIterator[Scheduler]:
    """A scheduler with a clock of its own."""
    async with serving_fake(worker) as address, scheduling(address, tmp_path, clock=clock) as running:
        yield running


def hourly(**fields: Any) -> pb.CreateScheduleRequest:
    run = pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project="/repository", plan_text="# nightly")
    given: dict[str, Any] = {"cron": "0 * * * *", "run": run}
    return pb.CreateScheduleRequest(**(given | fields))


async def created(scheduler: Scheduler, **fields: Any) -> pb.Schedule:
    return (await scheduler.api.CreateSchedule(hourly(**fields))).schedule


async def listed(scheduler: Scheduler) -> list[pb.Schedule]:
    return list((await scheduler.api.ListSchedules(pb.ListSchedulesRequest())).schedules)


async def runs(scheduler: Scheduler) -> list[pb.Run]:
    return list((await scheduler.api.ListRuns(pb.ListRunsRequest())).runs)


async def until_next(scheduler: Scheduler, text: str) -> pb.Schedule:
    """Waits until the only schedule is due next at a time; returns it."""

    async def is_due() -> bool:
        (found,) = await listed(scheduler)
        return found.next_time.ToDatetime(UTC) == datetime.fromisoformat(f"2026-06-01T{text}:00+00:00")

    await eventually(is_due)
    return (await listed(scheduler))[0]


async def test_a_schedule_starts_a_run_once(worker: FakeWorker, scheduler: Scheduler, clock: Clock) -> None:
    """One run starts at each time, of the schedule's creator, with the text of its plan; its creation is idempotent."""
    worker.play = succeed
    made = await created(scheduler, request_id="s1", time_zone="Europe/Berlin")
    assert (
        await scheduler.api.CreateSchedule(hourly(request_id="s1", time_zone="Europe/Berlin"))
    ).schedule == made
    assert (made.title, made.creator, made.project) == ("Sample plan", "user:ada", "/repository")
    assert (made.overlap, made.missed) == (pb.OVERLAP_POLICY_SKIP, pb.MISSED_POLICY_SKIP)
    assert await listed(scheduler) == [made]
    assert not await runs(scheduler)

    clock.pass_by(31)
    found = await until_next(scheduler, "13:00")
    (run,) = await runs(scheduler)
    assert found.last_run == run.name
    assert found.last_time.ToDatetime(UTC).hour == 12
    assert not found.problem
    assert run.creator == "user:ada"
    assert (await scheduler.api.GetPlan(pb.GetPlanRequest(name=run.name))).text == "# nightly"
    await scheduler.finished(run.name)
    clock.pass_by(60)
    await until_next(scheduler, "14:00")
    assert len(await runs(scheduler)) == 2


async def test_a_leader_that_repeats_the_work_starts_no_second_run(
    worker: FakeWorker, scheduler: Scheduler, clock: Clock
) -> None:
    """The run of a time is found by its request, as after a crash before the schedule was advanced."""
    worker.play = hold
    made = await created(scheduler)
    request = hourly().run
    request.request_id = f"{made.name}/{round(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000}"
    before = (await scheduler.api.CreateRun(request)).run
    clock.pass_by(31)
    found = await until_next(scheduler, "13:00")
    assert found.last_run == before.name
    assert len(await runs(scheduler)) == 1


async def test_a_running_run_queues_the_next(worker: FakeWorker, scheduler: Scheduler, clock: Clock) -> None:
    """The queued run starts when the first one has ended; with skip, the time is skipped with the reason."""
    worker.play = hold
    made = await created(scheduler, overlap=pb.OVERLAP_POLICY_QUEUE)
    clock.pass_by(31)
    first = await until_next(scheduler, "13:00")
    clock.pass_by(60)
    waiting = await until_next(scheduler, "13:00")
    assert waiting.last_run == first.last_run
    worker.play = succeed
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=first.last_run))
    second = await until_next(scheduler, "14:00")
    assert second.last_run != first.last_run
    await scheduler.api.DeleteSchedule(pb.DeleteScheduleRequest(name=made.name, request_id="d1"))
    await scheduler.api.DeleteSchedule(pb.DeleteScheduleRequest(name=made.name, request_id="d1"))
    assert not await listed(scheduler)
    again = pb.DeleteScheduleRequest(name=made.name)
    assert await reason_of(scheduler.api.DeleteSchedule(again)) == pb.ERROR_REASON_NOT_FOUND


async def test_a_time_without_a_run_has_its_reason(
    worker: FakeWorker, scheduler: Scheduler, clock: Clock
) -> None:
    """A dirty checkout, a run that has not ended, and a missed time are told; a paused schedule starts nothing."""
    worker.play = hold
    made = await created(scheduler)
    worker.dirty_files = ["app.py"]
    clock.pass_by(31)
    found = await until_next(scheduler, "13:00")
    assert "uncommitted changes" in found.problem
    worker.dirty_files = []
    clock.pass_by(60)
    assert not (await until_next(scheduler, "14:00")).problem
    clock.pass_by(60)
    assert "had not ended" in (await until_next(scheduler, "15:00")).problem
    clock.pass_by(90)
    assert "was missed" in (await until_next(scheduler, "16:00")).problem

    pause = pb.UpdateScheduleRequest(name=made.name, paused=True)
    paused = (await scheduler.api.UpdateSchedule(pause)).schedule
    assert (paused.paused, paused.HasField("next_time")) == (True, False)
    clock.pass_by(120)
    resumed = (await scheduler.api.UpdateSchedule(pb.UpdateScheduleRequest(name=made.name))).schedule
    assert resumed.next_time.ToDatetime(UTC).hour == 18
    assert len(await runs(scheduler)) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cron": "often"}, pb.ERROR_REASON_INVALID_FIELD),
        ({"time_zone": "Nowhere"}, pb.ERROR_REASON_INVALID_FIELD),
        ({"overlap": 9}, pb.ERROR_REASON_INVALID_FIELD),
        ({"missed": 9}, pb.ERROR_REASON_INVALID_FIELD),
        ({"run": pb.CreateRunRequest(again="runs/r")}, pb.ERROR_REASON_INVALID_FIELD),
        ({"run": pb.CreateRunRequest(project="/repository")}, pb.ERROR_REASON_INVALID_PLAN),
    ],
)
async def test_a_wrong_schedule_is_refused(
    scheduler: Scheduler, fields: dict[str, Any], reason: "pb.ErrorReason.ValueType"
) -> None:
    """Nothing is created, and the error says why."""
    assert await reason_of(scheduler.api.CreateSchedule(hourly(**fields))) == reason
    assert not await listed(scheduler)
    wrong = pb.UpdateScheduleRequest(name="runs/r")
    assert await reason_of(scheduler.api.UpdateSchedule(wrong)) == pb.ERROR_REASON_INVALID_FIELD

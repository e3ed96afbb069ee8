"""What the scheduler records and asks of workers for epics that have places."""

from functools import partial
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, from_rpc
from heddle.names import AttemptName, RunName
from heddle.testing.fake_worker import FakeWorker
from scheduler_svc.commands.decisions.apply_action import act
from scheduler_svc.commands.runs.create_run import _Base, _write
from scheduler_svc.policy.actions import StartTask
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.tables import epics, run_events
from scheduler_svc.store.outcomes import attempt_outcomes
from scheduler_svc.store.queries.assignments import read_assignment
from scheduler_svc.store.queries.resources import get_epics
from scheduler_svc.store.queries.snapshot_query import observe
from scheduler_svc.store.rows import epics as epic_rows
from tests.support.scheduler import Scheduler, make_plan

RUN = RunName("sample")
EPIC = RUN.epic("a")
URL = "https://example.com/app"


def attempt(number: int) -> AttemptName:
    return EPIC.task("one").attempt(number)


def lose(connection: Connection, number: int) -> None:
    epic_rows.lose_place(connection, EPIC)
    attempt_outcomes.fail(
        connection,
        attempt(number),
        pb.SessionFinished(outcome=pb.OUTCOME_LOST, reason="lost"),
        pb.DiscardAttemptResponse(),
        should_retry=lambda *_: True,
        now=number,
    )


async def test_each_place_of_an_epic_has_its_own_number(database: Database) -> None:
    """A new place, and the loss of one, raise the number, so that no two places share one; an event tells of the move."""

    def created(connection: Connection) -> None:
        request = pb.CreateRunRequest(plan=make_plan({"a": ["one"]}, retries=9))
        _write(connection, RUN, request, _Base("w1", URL, "c0ffee", "main", 4), actor="user:ada", now=1)

    await database.submit(created)
    numbers, places = [], []
    for number, worker in enumerate(("w1", "w1", "w2", "w1"), 1):
        start = StartTask(attempt(number), None, worker, "w2 was lost (no retry used)" if number == 4 else "")
        assert await database.submit(partial(act, action=start, now=number))
        assignment = await database.read(partial(read_assignment, attempt=attempt(number)))
        assert assignment is not None
        numbers.append(assignment.generation)
        places.append(assignment.worker)
        await database.submit(partial(lose, number=number))
    assert places == ["w1", "w1", "w2", "w1"]
    # At the second one, w1 is back: its first place was lost all the same.
    assert numbers == [1, 2, 4, 6]

    def moves(connection: Connection) -> list[pb.EpicMoved]:
        rows = connection.execute(sa.select(run_events.c.event).order_by(run_events.c.sequence)).scalars()
        found = [pb.Event.FromString(row) for row in rows]
        return [event.epic_moved for event in found if event.HasField("epic_moved")]

    told = await database.read(moves)
    assert [(each.from_worker, each.to_worker) for each in told] == [("w1", "w2"), ("w2", "w1")]
    assert told[-1].reason == "w2 was lost (no retry used)"

    # The epic itself tells of its newest move.
    (epic,) = await database.read(partial(get_epics, run=RUN.run))
    assert (epic.last_move.from_worker, epic.last_move.to_worker) == ("w2", "w1")
    assert epic.last_move.reason == "w2 was lost (no retry used)"
    assert epic.last_move.time.ToMicroseconds() == 4


async def test_an_epic_that_started_without_a_place_does_not_move(database: Database) -> None:
    """After an upgrade, epics that have started stay where their run is; others of a project by URL get places."""

    def created(connection: Connection) -> None:
        for run, project in (("url", URL), ("path", "/repository"), ("served", "/repository")):
            request = pb.CreateRunRequest(plan=make_plan({"a": ["one"], "b": ["one"]}))
            base = _Base("w1", project, "c0ffee", "main", 4, served=run == "served")
            _write(connection, RunName(run), request, base, actor="user:ada", now=1)
            old = StartTask(RunName(run).epic("a").task("one").attempt(1))
            assert act(connection, old, 2)

    await database.submit(created)
    snapshot = await database.read(partial(observe, workers=(), is_lost=lambda name: name == "w1"))
    found = {(run.name.run, epic.name.epic): epic.moves for run in snapshot.runs for epic in run.epics}
    assert {name for name, moves in found.items() if moves} == {("url", "b"), ("served", "b")}
    assert len(found) == 6
    shown = {run.name.run: (run.placed, run.keeps_home) for run in snapshot.runs}
    assert shown == {"url": (True, False), "path": (False, True), "served": (True, True)}
    # The runs' worker.
    assert snapshot.lost == {"w1"}

    def placed(connection: Connection) -> None:
        connection.execute(sa.update(epics).where(epics.c.epic == "b").values(worker="w2", generation=1))

    await database.submit(placed)
    again = await database.read(partial(observe, workers=(), is_lost=lambda name: name == "w2"))
    assert again.lost == {"w2"}


async def test_an_epic_stays_with_its_run_if_the_remote_refuses_its_claim(
    worker: FakeWorker, scheduler: Scheduler
) -> None:
    """The attempt costs no retry; the next one works where the run is, without a place."""

    def before(method: str, request: Any) -> None:
        if method == "EnsureWorktree" and request.generation:
            raise HeddleError(pb.ERROR_REASON_CLAIM_REFUSED, "the remote does not accept the claim")

    worker.before = before
    plan = make_plan({"a": ["one", "two"]})
    run = (await scheduler.api.CreateRun(pb.CreateRunRequest(plan=plan, project=URL))).run.name
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    asked = [request.generation for request in worker.called("EnsureWorktree")]
    assert asked == [1, 0, 0]
    assert [request.generation for request in worker.called("CommitTask")] == [0, 0]
    first = await scheduler.api.GetAttempt(pb.GetAttemptRequest(name=f"{run}/epics/a/tasks/one/attempts/1"))
    assert first.attempt.state == pb.ATTEMPT_STATE_LOST
    assert "does not accept the claim" in first.attempt.reason


async def test_a_run_says_why_its_epics_stay_at_home(worker: FakeWorker, scheduler: Scheduler) -> None:
    """It says so from the start, also after its plan has changed; so does the error for labels of a place."""
    worker.not_served = "it has submodules"
    plan = make_plan({"a": ["one"]})
    created = await scheduler.api.CreateRun(
        pb.CreateRunRequest(plan=plan, project="/repository", max_parallel=1)
    )
    run = created.run.name
    assert created.run.remark == (
        "all epics stay on local, which cannot serve the project to other workers: it has submodules"
    )
    plan.epics.add(key="b").tasks.add(key="one", prompt="Go")
    plan.epics[1].resources["cpu"] = "4"
    await scheduler.api.ApplyPlan(pb.ApplyPlanRequest(name=run, plan=plan))
    ignored, _, why = (await scheduler.run(run)).remark.partition("; ")
    assert ignored.startswith("the `resources` of b are ignored")
    assert why == created.run.remark
    plan.epics[1].place["gpu"] = "true"
    with pytest.raises(grpc.RpcError, match="/repository is a path, and it has submodules"):
        await scheduler.api.ApplyPlan(pb.ApplyPlanRequest(name=run, plan=plan))


async def test_a_plan_says_where_its_epics_run(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Labels of a place need a project by URL; a run that no worker fits waits and says so."""
    plan = make_plan({"a": ["one"]})
    plan.epics[0].place["gpu"] = "true"
    with pytest.raises(grpc.RpcError) as raised:
        await scheduler.api.CreateRun(pb.CreateRunRequest(plan=plan, project="/repository"))
    error = from_rpc(raised.value)
    assert error is not None
    assert error.reason == pb.ERROR_REASON_INVALID_PLAN
    assert "epics[0].place" in str(error.violations)
    # The project's labels count too, the plan's win, and what no pool can give is said.
    worker.project_file = pb.ProjectFile(place={"zone": "eu", "gpu": "false"})
    plan.epics[0].resources["cpu"] = "4"
    created = (await scheduler.api.CreateRun(pb.CreateRunRequest(plan=plan, project=URL))).run
    assert created.remark == (
        "the `resources` of a are ignored: this installation makes no pods, so sessions have what their worker has"
    )
    run = created.name
    told = await scheduler.until(run, lambda event: event.HasField("run_waits"))
    reason = "waiting for a place: no worker offers the labels gpu=true, zone=eu"
    assert told[-1].run_waits.reason == reason
    (event,) = [each for each in await scheduler.until(run, _waits) if _waits(each)]
    assert (event.epic, event.epic_waits.reason) == ("a", reason)
    (epic,) = (await scheduler.api.ListEpics(pb.ListEpicsRequest(parent=run))).epics
    assert epic.waits_for == reason
    assert worker.called("EnsureWorktree") == []
    # A change of the plan keeps the project's labels.
    del plan.epics[0].resources["cpu"]
    plan.epics[0].place["gpu"] = "2"
    await scheduler.api.ApplyPlan(pb.ApplyPlanRequest(name=run, plan=plan))
    reason = "waiting for a place: no worker offers the labels gpu=2, zone=eu"
    await scheduler.until(run, lambda event: event.epic_waits.reason == reason)
    assert not (await scheduler.run(run)).remark
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    (epic,) = (await scheduler.api.ListEpics(pb.ListEpicsRequest(parent=run))).epics
    assert epic.waits_for == ""


def _waits(event: pb.Event) -> bool:
    return event.HasField("epic_waits")

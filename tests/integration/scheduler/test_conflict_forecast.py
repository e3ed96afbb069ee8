"""Conflicts are predicted while epics run, each once and with the task that caused it."""

import asyncio
from typing import Any

from heddle import pb
from heddle.errors import HeddleError
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, eventually, make_plan


def foresee(worker: FakeWorker, *files: str) -> None:
    """Makes the two epics conflict, whatever the run's name."""

    def before(_: str, request: object) -> None:
        if isinstance(request, pb.CommitTaskRequest):
            run = request.attempt.split("/")[1]
            one, other = f"heddle/{run}/epics/a", f"heddle/{run}/epics/b"
            worker.foreseen = [pb.ConflictingPair(branch=one, with_branch=other, files=files)]

    worker.before = before


async def test_a_conflict_is_predicted_once(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Two epics that conflict throughout the run get one event with both epics, the files and a task."""
    foresee(worker, "x.py", "y.py")

    async def play(session: Any) -> pb.SessionFinished:
        if session.name.task == "three":
            # Keeps both epics active, with accepted tasks, until a prediction has included both.
            await eventually(
                lambda: any(len(each.branches) == 2 for each in worker.called("PredictConflicts"))
            )
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    run = await scheduler.create(make_plan({"a": ["one", "two", "three"], "b": ["one", "two", "three"]}))

    events = await scheduler.finished(run)

    predicted = [event for event in events if event.HasField("conflict_predicted")]
    assert len(predicted) == 1, predicted
    told = predicted[0]
    assert {told.epic, told.conflict_predicted.with_epic} == {"a", "b"}
    assert told.task in {"one", "two", "three"}
    assert list(told.conflict_predicted.files) == ["x.py", "y.py"]
    assert events[-1].HasField("run_finished")
    asked = worker.called("PredictConflicts")
    assert asked[0].base == (await scheduler.run(run)).base_commit


async def test_the_queue_names_whom_an_epic_waits_for(worker: FakeWorker, scheduler: Scheduler) -> None:
    """An epic that depends on another is blocked by the merge of that epic."""
    go_on = asyncio.Event()

    async def play(_: Any) -> pb.SessionFinished:
        await go_on.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker.play = play
    plan = make_plan({"a": ["one"], "b": ["one"]})
    plan.epics[1].depends_on.append("a")
    run = await scheduler.create(plan)
    await scheduler.until(run, lambda event: event.HasField("task_started"))

    queue = (await scheduler.api.GetConflicts(pb.GetConflictsRequest(name=run))).queue
    go_on.set()
    await scheduler.finished(run)

    assert [(each.epic, each.stage, each.waits_for) for each in queue] == [
        ("a", pb.MERGE_STAGE_WORKING, "1 of its 1 tasks"),
        ("b", pb.MERGE_STAGE_BLOCKED, "the merge of a"),
    ]


async def test_a_worker_that_cannot_predict_stops_nothing(worker: FakeWorker, scheduler: Scheduler) -> None:
    """If the prediction fails, the run continues and succeeds."""

    def before(method: str, _: object) -> None:
        if method == "PredictConflicts":
            raise HeddleError(pb.ERROR_REASON_GIT_FAILED, "git merge-tree failed")

    worker.before = before
    run = await scheduler.create(make_plan({"a": ["one"], "b": ["one"]}))
    await scheduler.finished(run)
    assert (await scheduler.run(run)).state == pb.RUN_STATE_SUCCEEDED
    assert worker.called("PredictConflicts")


async def test_everything_about_conflicts_in_one_answer(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The forecast is available after the run's end; the queue has each epic's stage and what it waits for."""
    worker.written = {"a": ["README.md", "src/a.py"]}
    worker.conflicting = set()

    def before(_: str, request: object) -> None:
        if isinstance(request, pb.MergeBranchRequest) and request.source_branch.endswith("/b"):
            worker.conflicting.add(request.source_branch)

    worker.before = before
    plan = make_plan({"a": ["one"], "b": ["one"], "c": ["one"]})
    plan.epics[0].touches.append("src/**")
    plan.epics[2].depends_on.append("b")
    run = await scheduler.create(plan, merge_into="main")
    events = await scheduler.finished(run)

    found = await scheduler.api.GetConflicts(pb.GetConflictsRequest(name=run))

    (footprint,) = found.forecast.footprints
    assert (footprint.epic, list(footprint.outside)) == ("a", ["README.md"])
    assert found.forecast.upstream == "main"
    assert found.sequence == events[-1].sequence
    stages = {entry.epic: entry.stage for entry in found.queue}
    assert stages == {
        "b": pb.MERGE_STAGE_CONFLICTED,
        "a": pb.MERGE_STAGE_MERGED,
        "c": pb.MERGE_STAGE_UNMERGED,
        "": pb.MERGE_STAGE_UNMERGED,
    }
    assert [entry.epic for entry in found.queue] == ["b", "a", "c", ""]
    assert "heddle merge" in found.queue[0].waits_for
    assert sum(event.HasField("wrote_outside") for event in events) == 1

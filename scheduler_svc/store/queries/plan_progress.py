"""Reads how far the epics and tasks of a run are, to change its plan or to run it again."""

from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from scheduler_svc.model.plan_difference import EpicProgress, Progress
from scheduler_svc.model.states import ENDED_EPIC, MergeState
from scheduler_svc.model.unfinished_plan import Finished
from scheduler_svc.store.db.tables import EPIC_OF_TASK, IS_WHOLE, epics, tasks

_STOPPING: Final = frozenset({pb.ON_FAILURE_STOP_EPIC, pb.ON_FAILURE_STOP_RUN})

_STARTED: Final = {
    pb.TASK_STATE_PENDING: "it has started, and another attempt follows",
    pb.TASK_STATE_RUNNING: "it is running",
    pb.TASK_STATE_WAITING: "it has started and waits for an answer",
    pb.TASK_STATE_ACCEPTED: "it is accepted",
    pb.TASK_STATE_FAILED: "it has failed; retry or skip it, or add another task",
    pb.TASK_STATE_SKIPPED: "it was skipped; retry it first, or add another task",
}

_EPICS = sa.select(
    epics.c.epic, epics.c.state, epics.c.merge_state, epics.c.started_at, epics.c.on_failure
).order_by(epics.c.place)
_TASKS = (
    sa.select(
        tasks.c.epic,
        tasks.c.task,
        tasks.c.state,
        tasks.c.attempt_count,
        tasks.c.rounds,
        tasks.c.resolves,
    )
    .where(IS_WHOLE)
    .order_by(tasks.c.epic, tasks.c.position)
)


def read_progress(connection: sa.Connection, run: RunName, agent: str) -> Progress:
    """Returns how far a run is; `agent` replaces the default agent of its plans."""
    of_epic: dict[str, list[Any]] = {}
    for task in connection.execute(_TASKS.where(tasks.c.run == run.run)):
        of_epic.setdefault(task.epic, []).append(task)
    rows = connection.execute(_EPICS.where(epics.c.run == run.run)).all()
    return Progress({row.epic: _epic(row, of_epic.get(row.epic, [])) for row in rows}, agent)


def read_finished(connection: sa.Connection, run: RunName) -> Finished:
    """Returns what of a run need not run again."""
    whole = sa.or_(
        epics.c.merge_state == MergeState.MERGED,
        epics.c.state.in_((pb.EPIC_STATE_SUCCEEDED, pb.EPIC_STATE_DROPPED)),
    )
    over = sa.or_(
        tasks.c.state == pb.TASK_STATE_ACCEPTED,
        tasks.c.skipped_by != "",
        epics.c.state == pb.EPIC_STATE_DROPPED,
    )
    ended = sa.select(epics.c.epic).where(epics.c.run == run.run, whole)
    of_run = (tasks.c.run == run.run, IS_WHOLE)
    done = sa.select(tasks.c.epic, tasks.c.task).join(epics, EPIC_OF_TASK).where(*of_run, over)
    return Finished(
        epics=set(connection.execute(ended).scalars()),
        tasks={(row.epic, row.task) for row in connection.execute(done)},
    )


def _epic(row: Any, of_epic: list[Any]) -> EpicProgress:
    merges = row.merge_state in {MergeState.MERGING, MergeState.MERGED}
    return EpicProgress(
        started="" if row.started_at is None and row.state not in ENDED_EPIC else "it has started",
        merged="its merge has begun" if merges else ("it has ended" if row.state in ENDED_EPIC else ""),
        closed=_closed(row, of_epic),
        tasks={task.task: _locked(task) for task in of_epic},
    )


def _closed(row: Any, of_epic: list[Any]) -> str:
    if row.merge_state == MergeState.MERGING:
        return "its epic is being merged; try again in a moment"
    failed = next((task.task for task in of_epic if task.state == pb.TASK_STATE_FAILED), None)
    if failed and row.on_failure in _STOPPING:
        return f"task {failed} failed, which stops its epic; retry or skip that task first"
    return ""


def _locked(task: Any) -> str:
    if task.resolves:
        return "it resolves a conflict"
    unstarted = not task.attempt_count and not task.rounds and task.state == pb.TASK_STATE_PENDING
    return "" if unstarted else _STARTED[task.state]

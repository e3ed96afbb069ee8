"""Reads how far the epics and tasks of a run are, to change its plan or to run it again."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, MergeState
from scheduler_svc.model.lifecycle.status import EpicStatus
from scheduler_svc.model.plans.plan_difference import EpicProgress, Progress
from scheduler_svc.model.plans.unfinished_plan import Finished
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

# Epics that the operator has ended; nothing in them is skipped or runs by itself.
_GIVEN_UP: Final = frozenset({pb.EPIC_STATE_DROPPED, pb.EPIC_STATE_CANCELLED})

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
        tasks.c.skipped_by,
    )
    .where(IS_WHOLE)
    .order_by(tasks.c.epic, tasks.c.position)
)


class _Epic(NamedTuple):
    epic: str
    state: "pb.EpicState.ValueType"
    merge_state: MergeState
    started_at: int | None
    on_failure: "pb.OnFailure.ValueType"


class _Task(NamedTuple):
    task: str
    state: "pb.TaskState.ValueType"
    attempt_count: int
    rounds: int
    resolves: bool
    skipped_by: str


class Skipping(NamedTuple):
    """What changes in an epic when the failed tasks that a plan replaces are skipped."""

    failed: Sequence[str]
    # Tasks that did not run because of a failure: they become pending.
    unrun: Sequence[str]


def read_progress(
    connection: sa.Connection, run: RunName, agent: str, skips: RunName | EpicName | None = None
) -> Progress:
    """Returns how far a run is; `agent` replaces the default agent of its plans.

    `skips`: as if the failed tasks of this run or epic had been skipped, as ApplyPlan does.
    """
    rows, of_epic = _read(connection, run)
    if skips is not None:
        for place, row in enumerate(rows):
            tasks_of = of_epic.get(row.epic, [])
            rows[place] = _after(row, tasks_of, _skipping(row, tasks_of, skips))
    return Progress({row.epic: _epic(row, of_epic.get(row.epic, [])) for row in rows}, agent)


def read_skipping(connection: sa.Connection, scope: RunName | EpicName) -> Mapping[str, Skipping]:
    """Returns by epic what changes when the failed tasks of a run or an epic are skipped."""
    rows, of_epic = _read(connection, RunName(scope.run))
    found = {row.epic: _skipping(row, of_epic.get(row.epic, []), scope) for row in rows}
    return {epic: each for epic, each in found.items() if each.failed or each.unrun}


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


def _read(connection: sa.Connection, run: RunName) -> tuple[list[_Epic], dict[str, list[_Task]]]:
    """Returns the rows of a run's epics, and those of their tasks by epic."""
    of_epic: dict[str, list[_Task]] = {}
    for epic, *columns in connection.execute(_TASKS.where(tasks.c.run == run.run)):
        of_epic.setdefault(epic, []).append(_Task(*columns))
    rows = connection.execute(_EPICS.where(epics.c.run == run.run))
    return [_Epic(*row)._replace(merge_state=MergeState(row.merge_state)) for row in rows], of_epic


def _skipping(row: _Epic, of_epic: list[_Task], scope: RunName | EpicName) -> Skipping:
    own = not isinstance(scope, EpicName) or scope.epic == row.epic
    if row.state in _GIVEN_UP or not (own or row.state == pb.EPIC_STATE_SKIPPED):
        return Skipping((), ())
    failed = [
        each.task for each in of_epic if own and each.state == pb.TASK_STATE_FAILED and not each.resolves
    ]
    unrun = [each.task for each in of_epic if each.state == pb.TASK_STATE_SKIPPED and not each.skipped_by]
    return Skipping(failed, unrun)


def _after(row: _Epic, of_epic: list[_Task], skipping: Skipping) -> _Epic:
    """Returns the row of an epic once `skipping` was done; changes the rows of its tasks likewise."""
    if not (skipping.failed or skipping.unrun):
        return row
    states = dict.fromkeys(skipping.failed, pb.TASK_STATE_SKIPPED)
    states |= dict.fromkeys(skipping.unrun, pb.TASK_STATE_PENDING)
    of_epic[:] = [each._replace(state=states.get(each.task, each.state)) for each in of_epic]
    if not transitions.is_closed(EpicStatus(row.state, row.merge_state)):
        return row
    move = transitions.EPIC_REOPEN if row.started_at is not None else transitions.EPIC_REOPEN_BLOCKED
    status = move.after(EpicStatus(row.state, row.merge_state))
    return row._replace(state=status.state, merge_state=status.merge_state)


def _epic(row: _Epic, of_epic: list[_Task]) -> EpicProgress:
    merges = row.merge_state in {MergeState.MERGING, MergeState.MERGED}
    return EpicProgress(
        started="" if row.started_at is None and row.state not in ENDED_EPIC else "it has started",
        merged="its merge has begun" if merges else ("it has ended" if row.state in ENDED_EPIC else ""),
        closed=_closed(row, of_epic),
        tasks={task.task: _locked(task) for task in of_epic},
    )


def _closed(row: _Epic, of_epic: list[_Task]) -> str:
    if row.merge_state == MergeState.MERGING:
        return "its epic is being merged; try again in a moment"
    failed = next((task.task for task in of_epic if task.state == pb.TASK_STATE_FAILED), None)
    if failed and row.on_failure in _STOPPING:
        return f"task {failed} failed, which stops its epic; retry or skip that task first"
    return ""


def _locked(task: _Task) -> str:
    if task.resolves:
        return "it resolves a conflict"
    unstarted = not task.attempt_count and not task.rounds and task.state == pb.TASK_STATE_PENDING
    return "" if unstarted else _STARTED[task.state]

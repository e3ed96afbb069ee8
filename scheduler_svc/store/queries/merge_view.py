"""Reads an operator's view of a run's merges: the conflict forecast and the merge queue."""

from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, RunName
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, OPEN_TASK, MergeState
from scheduler_svc.store.db.tables import EPIC_OF_TASK, epics, tasks
from scheduler_svc.store.queries.records import run_row
from scheduler_svc.store.queries.resources import get_epics
from scheduler_svc.store.rows.forecasts import read_forecast

# Stages that a started merge determines, whatever the state of the epic.
_MERGES: Final = {
    MergeState.MERGED: pb.MERGE_STAGE_MERGED,
    MergeState.MERGING: pb.MERGE_STAGE_MERGING,
    MergeState.CONFLICTED: pb.MERGE_STAGE_CONFLICTED,
}

# The order of the stages in the queue.
_ORDER: Final = (
    pb.MERGE_STAGE_MERGING,
    pb.MERGE_STAGE_QUEUED,
    pb.MERGE_STAGE_RESOLVING,
    pb.MERGE_STAGE_AWAITING,
    pb.MERGE_STAGE_CONFLICTED,
    pb.MERGE_STAGE_WORKING,
    pb.MERGE_STAGE_BLOCKED,
    pb.MERGE_STAGE_MERGED,
    pb.MERGE_STAGE_UNMERGED,
)


def get_conflicts(connection: sa.Connection, name: RunName) -> pb.GetConflictsResponse:
    """Returns the forecast and the merge queue of a run; raises NOT_FOUND."""
    run = run_row(connection, name)
    chosen = sa.select(
        epics.c.epic, epics.c.merge_state, epics.c.conflict, _is_being_resolved().label("resolving")
    ).where(epics.c.run == name.run)
    rows = {row.epic: row for row in connection.execute(chosen)}
    merged = {key for key, row in rows.items() if row.merge_state == MergeState.MERGED}
    listed = get_epics(connection, name.run)
    queue = [_entry(name, epic, rows[epic.key], merged) for epic in listed]
    queue.sort(key=lambda entry: _ORDER.index(entry.stage))
    if run.merge_into:
        queue.append(_run_entry(name, run, open_epics=sum(epic.state not in ENDED_EPIC for epic in listed)))
    forecast = read_forecast(connection, name.run)
    # Merged since the last forecast: they did not conflict, or someone resolved the conflict.
    gone = [each for each in forecast.conflicts if {each.epic, each.with_epic} <= merged]
    for each in gone:
        forecast.conflicts.remove(each)
    return pb.GetConflictsResponse(forecast=forecast, queue=queue, sequence=run.sequence)


def _entry(run: RunName, epic: pb.Epic, row: Any, merged: set[str]) -> pb.MergeQueueEntry:
    stage = pb.MERGE_STAGE_RESOLVING if row.resolving else _stage(epic, row.merge_state)
    return pb.MergeQueueEntry(
        epic=epic.key,
        stage=stage,
        source_branch=epic.branch,
        target_branch=run.branch,
        waits_for=_waits_for(epic, stage, merged),
        commit=epic.merge_commit if stage == pb.MERGE_STAGE_MERGED else "",
        conflict=pb.MergeConflicted.FromString(row.conflict) if row.conflict else None,
    )


def _is_being_resolved() -> sa.ColumnElement[bool]:
    return (
        sa.select(tasks.c.task).where(EPIC_OF_TASK, tasks.c.resolves, tasks.c.state.in_(OPEN_TASK)).exists()
    )


def _stage(epic: pb.Epic, merge_state: int) -> "pb.MergeStage.ValueType":
    if merge_state in _MERGES:
        return _MERGES[MergeState(merge_state)]
    if epic.state in ENDED_EPIC:
        return pb.MERGE_STAGE_UNMERGED
    if epic.state == pb.EPIC_STATE_AWAITING_MERGE:
        return pb.MERGE_STAGE_AWAITING
    if epic.state == pb.EPIC_STATE_BLOCKED:
        return pb.MERGE_STAGE_BLOCKED
    open_tasks = epic.tasks.pending + epic.tasks.running + epic.tasks.waiting
    return pb.MERGE_STAGE_WORKING if open_tasks else pb.MERGE_STAGE_QUEUED


def _waits_for(epic: pb.Epic, stage: "pb.MergeStage.ValueType", merged: set[str]) -> str:
    """Returns a message about what delays the merge of an epic."""
    short = f"{EpicName.parse(epic.name).run}/{epic.key}"
    if stage == pb.MERGE_STAGE_BLOCKED:
        return f"the merge of {', '.join(key for key in epic.depends_on if key not in merged)}"
    if stage == pb.MERGE_STAGE_WORKING:
        rest = epic.tasks.pending + epic.tasks.running + epic.tasks.waiting
        return f"{rest} of its {epic.tasks.total} tasks"
    if stage == pb.MERGE_STAGE_CONFLICTED:
        ways = f"`heddle resolve {short}` for an agent, or `heddle drop {short}`"
        return f"you: fix it, then `heddle merge {short}`; {ways}"
    if stage == pb.MERGE_STAGE_AWAITING:
        return f"you: `heddle merge {short}` or `heddle drop {short}`"
    return "its turn" if stage == pb.MERGE_STAGE_QUEUED else epic.merge_hold


def _run_entry(name: RunName, run: Any, open_epics: int) -> pb.MergeQueueEntry:
    stages = {
        MergeState.NONE: pb.MERGE_STAGE_UNMERGED if run.ended_at else pb.MERGE_STAGE_WORKING,
        MergeState.MERGING: pb.MERGE_STAGE_MERGING,
        MergeState.MERGED: pb.MERGE_STAGE_MERGED,
        MergeState.CONFLICTED: pb.MERGE_STAGE_CONFLICTED,
    }
    stage = stages[MergeState(run.merge_state)]
    waits_for = f"{open_epics} of its epics" if stage == pb.MERGE_STAGE_WORKING and open_epics else ""
    return pb.MergeQueueEntry(
        stage=stage,
        source_branch=name.branch,
        target_branch=run.merge_into,
        waits_for=run.merge_hold or waits_for,
    )

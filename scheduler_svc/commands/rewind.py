"""What an operator has an epic do anew: a task that is over, and all that came after it.

Its branch goes back when its next attempt asks for the worktree; it is not merged before that.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from heddle import pb
from heddle.names import EpicName, TaskName
from scheduler_svc.commands.runs_and_tasks import check_reopenable, go_on, set_agent, wrong_state
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import NEWEST_ATTEMPT, attempts, epics, tasks
from scheduler_svc.store.queries.resources import get_task, is_epic, is_task

# Columns are read by name.
Row: TypeAlias = Any

_OVER: Final = (pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED)

_NOT_OVER: Final = {
    pb.TASK_STATE_PENDING: "it will run anyway",
    pb.TASK_STATE_RUNNING: "stop its attempt first, or wait for its end",
    pb.TASK_STATE_WAITING: "answer its question, or stop its attempt first",
    pb.TASK_STATE_SKIPPED: "nothing was built upon it; retry it without from_here",
}

# Tasks, each with its newest attempt if it had one, in the order in which these ended; the others anywhere.
_TASKS: Final = (
    sa.select(
        tasks.c.task,
        tasks.c.state,
        tasks.c.commit_id,
        tasks.c.resolves,
        tasks.c.skipped_by,
        attempts.c.number,
        attempts.c.state.label("attempt_state"),
        attempts.c.ended_at,
    )
    .outerjoin(attempts, NEWEST_ATTEMPT)
    .order_by(attempts.c.ended_at, tasks.c.position)
)


def retry_from_here(connection: sa.Connection, name: TaskName, actor: str, agent: str, now: int) -> pb.Task:
    """Puts an accepted or failed task back, and all of its epic that ended after it; reopens epic and run.

    `agent` does the one task from now on; empty leaves the one that it has.
    """
    task = get_task(connection, name)
    if task.state not in _OVER:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NOT_OVER[task.state])
    check_reopenable(connection, name.parent)
    rows = connection.execute(_TASKS.where(tasks.c.run == name.run, tasks.c.epic == name.epic)).all()
    _check_free(connection, name.parent, rows)
    over = [row for row in rows if row.state in _OVER]
    place = [row.task for row in over].index(name.task)
    not_run = [row for row in rows if row.state == pb.TASK_STATE_SKIPPED and not row.skipped_by]
    for row in (*over[place:], *not_run):
        _reopen(connection, name.parent.task(row.task), row, actor, now, wanted=row.task == name.task)
    if agent:
        set_agent(connection, name, agent)
    _rewind(connection, name.parent, kept=_accepted(over[:place]), set_aside=_accepted(over[place:]))
    go_on(connection, name, actor, now)
    return get_task(connection, name)


def _accepted(rows: Sequence[Row]) -> list[str]:
    return [row.commit_id for row in rows if row.state == pb.TASK_STATE_ACCEPTED]


def _check_free(connection: sa.Connection, name: EpicName, rows: Sequence[Row]) -> None:
    """Raises WRONG_STATE where the epic is merged, or something of it runs or waits for the operator."""
    epic = connection.execute(sa.select(epics.c.state, epics.c.merge_commit).where(*is_epic(name))).one()
    state = pb.EpicState.Name(epic.state)
    if epic.merge_commit:
        raise wrong_state(name, state, f"it is in {name.parent.branch}; add a task with what is to change")
    for row in rows:
        if row.number is None:
            continue
        attempt = name.task(row.task).attempt(row.number)
        if row.ended_at is None:
            raise wrong_state(name, state, f"stop {attempt} first, or wait for its end")
        if row.attempt_state == pb.ATTEMPT_STATE_PARKED and row.state not in _OVER:
            raise wrong_state(name, state, f"{attempt} is parked: stop it first, or let it go on to its end")


def _reopen(
    connection: sa.Connection, name: TaskName, row: Row, actor: str, now: int, *, wanted: bool
) -> None:
    """Puts one task back. One that resolved a conflict of what is done anew is not needed, unless it is `wanted`."""
    if row.resolves and not wanted and row.state == pb.TASK_STATE_FAILED:
        return
    told = [event(name, actor, task_reopened=pb.TaskReopened(commit=row.commit_id))]
    values: dict[str, object] = {"state": pb.TASK_STATE_PENDING, "reason": "", "commit_id": ""}
    if row.resolves and not wanted:
        reason = "the conflict that it resolved is gone"
        values |= {"state": pb.TASK_STATE_SKIPPED, "reason": reason, "skipped_by": actor}
        told.append(event(name, actor, task_skipped=pb.TaskSkipped(reason=reason)))
    connection.execute(sa.update(tasks).where(*is_task(name)).values(**values))
    append(connection, told, now)


def _rewind(connection: sa.Connection, name: EpicName, kept: Sequence[str], set_aside: Sequence[str]) -> None:
    """Has the epic's branch go back behind the first of the commits that are `set_aside`, if there are any."""
    if set_aside:
        back = {"rewind_to": f"{set_aside[0]}^", "head_commit": kept[-1] if kept else ""}
        connection.execute(sa.update(epics).where(*is_epic(name)).values(**back))

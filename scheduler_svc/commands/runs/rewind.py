"""Repeats part of an epic on an operator's request: a completed task and all tasks that ended after it.

The epic's branch is reset when the next attempt requests the worktree. The epic is not merged before that.
"""

from collections.abc import Sequence
from typing import Final

from heddle import pb
from heddle.names import EpicName, TaskName
from scheduler_svc.commands.runs.candidates import check_whole
from scheduler_svc.commands.runs.reopen import check_reopenable, reopen_task
from scheduler_svc.commands.runs.runs_and_tasks import AgentChoice, choose_agent
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.model.plans.draft_words import not_for_drafts
from scheduler_svc.store.db.database import Connection, Row
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, run_row, tasks_by_end
from scheduler_svc.store.queries.resources import get_task
from scheduler_svc.store.rows import epics, tasks

_OVER: Final = (pb.TASK_STATE_ACCEPTED, pb.TASK_STATE_FAILED)

# The states of a task whose candidates run, or wait for the choice of one.
_TRIED: Final = (pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING)

_NOT_OVER: Final = {
    pb.TASK_STATE_PENDING: "it will run anyway",
    pb.TASK_STATE_RUNNING: "stop its attempt first, or wait for its end",
    pb.TASK_STATE_WAITING: "answer its question, or stop its attempt first",
    pb.TASK_STATE_SKIPPED: "nothing was built upon it; retry it without from_here",
}


def retry_from_here(
    connection: Connection, name: TaskName, actor: str, choice: AgentChoice, now: int
) -> None:
    """Makes a task and the later ones of its epic pending again; reopens epic and run.

    The task is accepted or failed; the later ones are those that ended after it. `choice` is for this one
    task. Raises WRONG_STATE for a draft, which has no commit to go back to.
    """
    check_whole(name)
    if run_row(connection, name.parent.parent).draft:
        raise not_for_drafts(
            name, "retry it without from_here if it failed, or draft again with the same goal"
        )
    task = get_task(connection, name)
    if task.state not in _OVER:
        raise wrong_state(name, pb.TaskState.Name(task.state), _NOT_OVER[task.state])
    check_reopenable(connection, name.parent)
    rows = tasks_by_end(connection, name.parent)
    _check_free(connection, name.parent, rows)
    over = [row for row in rows if row.state in _OVER]
    place = [row.task for row in over].index(name.task)
    not_run = [row for row in rows if row.state == pb.TASK_STATE_SKIPPED and not row.skipped_by]
    for row in (*over[place:], *not_run):
        _reopen(connection, name.parent.task(row.task), row, actor, now, wanted=row.task == name.task)
    choose_agent(connection, name, choice)
    _rewind(connection, name.parent, kept=_accepted(over[:place]), set_aside=_accepted(over[place:]))
    reopen_task(connection, name, actor, now)


def _accepted(rows: Sequence[Row]) -> list[str]:
    return [row.commit_id for row in rows if row.state == pb.TASK_STATE_ACCEPTED]


def _check_free(connection: Connection, name: EpicName, rows: Sequence[Row]) -> None:
    """Raises WRONG_STATE if the epic is merged, or one of its attempts runs or waits for the operator."""
    epic = epic_row(connection, name)
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
            raise wrong_state(name, state, f"{attempt} is parked: stop it first, or let it finish")
    pending = (row for row in rows if row.state == pb.TASK_STATE_PENDING)
    # Submitted work is accepted only on top of what it was based on.
    if judged := next((row.task for row in pending if row.review is not None or row.chosen), None):
        advice = f"the work of {name.task(judged)} is being decided about: let that end, or skip the task"
        raise wrong_state(name, state, advice)
    if tried := next((row.task for row in rows if row.state in _TRIED), None):
        raise wrong_state(name, state, f"stop the candidates of {name.task(tried)} first, or let them finish")


def _reopen(connection: Connection, name: TaskName, row: Row, actor: str, now: int, *, wanted: bool) -> None:
    """Makes one task pending again; skips a task that resolved an obsolete conflict, unless it is `wanted`."""
    if row.resolves and not wanted and row.state == pb.TASK_STATE_FAILED:
        return
    events = [event(name, actor, task_reopened=pb.TaskReopened(commit=row.commit_id))]
    if row.resolves and not wanted:
        reason = "the conflict that it resolved is gone"
        tasks.move(connection, name, transitions.TASK_OBSOLETE, reason=reason, skipped_by=actor)
        events.append(event(name, actor, task_skipped=pb.TaskSkipped(reason=reason)))
    else:
        tasks.move(connection, name, transitions.TASK_REOPEN)
    append(connection, events, now)


def _rewind(connection: Connection, name: EpicName, kept: Sequence[str], set_aside: Sequence[str]) -> None:
    """Has the epic's branch reset to the parent of the first commit in `set_aside`, if there is one."""
    if set_aside:
        head = kept[-1] if kept else ""
        epics.change(connection, name, rewind_to=f"{set_aside[0]}^", head_commit=head)

"""Parked sessions: sessions that were ended while their question to the operator is open.

Their tasks stay WAITING, without a slot. Once all questions of a session are answered, its
task is pending again. The next attempt resumes the agent's session with its files.
"""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, not_found
from heddle.names import AttemptName, TaskName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.sessions.session_summary import holds_for_session, is_overdue, show_question
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.statements import ANY_ATTEMPT, LIVE_ATTEMPT, of
from scheduler_svc.store.db.tables import NEWEST_ATTEMPT
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.queries.resources import is_task
from scheduler_svc.store.rows import allowed_rules, attempts, tasks, usage_totals
from scheduler_svc.store.rows.usage_totals import Used


def park(connection: sa.Connection, attempt: AttemptName, reason: str, now: int) -> bool:
    """Ends a live attempt whose session was parked; returns False and does nothing if it must stop for good."""
    row = connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        return True
    if row.stop_reason is not None:
        return False
    parked = transitions.ATTEMPT_END[pb.ATTEMPT_STATE_PARKED]
    attempts.move(connection, attempt, parked, now=now, reason="", counts=False)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    open_ones = pb.Attempt.FromString(row.record).approvals
    move = transitions.TASK_PARK if open_ones else transitions.TASK_PARK_ANSWERED
    tasks.move(connection, attempt.parent, move)
    waiting = pb.TaskWaiting(reason=open_ones[0].question if open_ones else reason, parked=True)
    append(connection, [event(attempt, "scheduler", task_waiting=waiting)], now)
    return True


def answer(
    connection: sa.Connection, attempt: AttemptName, said: pb.ApprovalResolved, actor: str, now: int
) -> None:
    """Stores the operator's answer to an attempt that is or will be parked. Idempotent: the first answer stays.

    Raises NOT_FOUND, and WRONG_STATE if the question is no longer open.
    """
    row = connection.execute(ANY_ATTEMPT, of(attempt)).one_or_none()
    if row is None:
        raise not_found(attempt)
    record = pb.Attempt.FromString(row.record)
    if any(each.approval.approval_id == said.approval_id for each in record.answers):
        return
    if row.state not in {pb.ATTEMPT_STATE_WAITING, pb.ATTEMPT_STATE_PARKED}:
        raise HeddleError(
            pb.ERROR_REASON_WRONG_STATE,
            f"{attempt} has ended, so no answer is expected",
            state=pb.AttemptState.Name(row.state),
        )
    asked = next((each for each in record.approvals if each.approval_id == said.approval_id), None)
    if asked is None:
        raise not_found(f"approval {said.approval_id!r} of {attempt}")
    record.answers.add(approval=asked, approved=said.approved, message=said.message)
    record.approvals.remove(asked)
    if holds_for_session(said):
        record.allowed_rules.append(said.rule)
    allowed_rules.take(connection, attempt, said, actor, now)
    attempts.change(connection, attempt, **_columns(row, record))
    append(connection, [event(attempt, actor, approval_resolved=said)], now)
    if not record.approvals and row.ended_at is not None:
        tasks.try_to(connection, attempt.parent, transitions.TASK_ANSWERED)


def deny_overdue(connection: sa.Connection, attempt: AttemptName, now: int) -> bool:
    """Denies the questions of a parked attempt that were not answered in time; False if there are none."""
    row = connection.execute(ANY_ATTEMPT, of(attempt)).one()
    late = [each for each in pb.Attempt.FromString(row.record).approvals if is_overdue(each, now)]
    for each in late if row.state == pb.ATTEMPT_STATE_PARKED else ():
        seconds = (each.deny_time.ToNanoseconds() - each.request_time.ToNanoseconds()) / 1e9
        said = pb.ApprovalResolved(approval_id=each.approval_id, message=f"no answer within {seconds:g} s")
        answer(connection, attempt, said, "scheduler", now)
    return bool(late)


def end_wait(connection: sa.Connection, task: TaskName, reason: str) -> AttemptName | None:
    """Ends a task's parked attempt and its questions for good; returns the attempt, None if there is none.

    The task keeps its state, which the caller changes.
    """
    row = connection.execute(_NEWEST.where(*is_task(task))).one_or_none()
    if row is None or row.state != pb.ATTEMPT_STATE_PARKED or row.task_state not in _WAITING:
        return None
    attempt = task.attempt(row.number)
    record = pb.Attempt.FromString(row.record)
    record.ClearField("approvals")
    move = transitions.ATTEMPT_STOP_PARKED
    attempts.move(connection, attempt, move, now=None, reason=reason, **_columns(row, record))
    return attempt


def _columns(row: Any, record: pb.Attempt) -> dict[str, bytes]:
    """Returns the columns that store a changed record."""
    summary = pb.SessionSummary.FromString(row.summary)
    show_question(summary, record.approvals)
    return {"record": record.SerializeToString(), "summary": summary.SerializeToString()}


def stop(connection: sa.Connection, attempt: AttemptName, reason: str, now: int) -> bool:
    """Fails the task of a parked attempt; returns False and does nothing if it is not parked."""
    row: Any = connection.execute(_NEWEST.where(*is_task(attempt.parent))).one_or_none()
    if row is None or row.number != attempt.number or end_wait(connection, attempt.parent, reason) is None:
        return False
    tasks.move(connection, attempt.parent, transitions.TASK_STOP_PARKED, reason=reason)
    append(connection, [event(attempt, "scheduler", task_failed=pb.TaskFailed(reason=reason))], now)
    return True


# Whether or not it was answered, as long as no other attempt resumes it.
_WAITING = frozenset({pb.TASK_STATE_WAITING, pb.TASK_STATE_PENDING})

_NEWEST = sa.select(attempts_table, tasks_table.c.state.label("task_state")).join(tasks_table, NEWEST_ATTEMPT)

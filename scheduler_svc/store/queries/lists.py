"""Reads pages of runs, epics, tasks, attempts and open questions."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import ANY, EpicName, RunName, TaskName
from scheduler_svc.store.db.tables import ATTEMPT_OF_TASK, NEWEST_ATTEMPT, attempts, epics, runs, tasks
from scheduler_svc.store.queries import page_tokens
from scheduler_svc.store.queries.resources import (
    RUN_COLUMNS,
    attempt_of,
    epics_of,
    is_epic,
    is_task,
    runs_of,
    select_tasks,
    tasks_of,
)


def list_runs(
    connection: sa.Connection, request: pb.ListRunsRequest, projects: Collection[str] = ()
) -> pb.ListRunsResponse:
    """Returns a page of runs, newest first; only those of `projects` unless that is empty."""
    size = page_tokens.page_size(request.page_size, 50, 500)
    chosen = sa.select(*RUN_COLUMNS).order_by(runs.c.created_at.desc(), runs.c.run.desc()).limit(size + 1)
    if projects:
        chosen = chosen.where(runs.c.project.in_(projects))
    after = page_tokens.texts(request.page_token, 2)
    if after:
        [created_at] = page_tokens.numbers(page_tokens.token(after[0]), 1) or [0]
        chosen = chosen.where(sa.tuple_(runs.c.created_at, runs.c.run) < (created_at, after[1]))
    rows = connection.execute(chosen).all()
    more = page_tokens.token(rows[size - 1].created_at, rows[size - 1].run) if len(rows) > size else ""
    return pb.ListRunsResponse(runs=runs_of(connection, rows[:size]), next_page_token=more)


def list_epics(connection: sa.Connection, request: pb.ListEpicsRequest) -> pb.ListEpicsResponse:
    """Returns a page of epics in the order of the plan; raises NOT_FOUND."""
    run = RunName.parse(request.parent)
    sequence = _sequence(connection, run)
    size = page_tokens.page_size(request.page_size, 100, 500)
    chosen = sa.select(epics).where(epics.c.run == run.run).order_by(epics.c.place).limit(size + 1)
    after = page_tokens.numbers(request.page_token, 1)
    if after:
        chosen = chosen.where(epics.c.place > after[0])
    rows = connection.execute(chosen).all()
    more = page_tokens.token(rows[size - 1].place) if len(rows) > size else ""
    found = epics_of(connection, rows[:size])
    return pb.ListEpicsResponse(epics=found, next_page_token=more, sequence=sequence)


def list_tasks(connection: sa.Connection, request: pb.ListTasksRequest) -> pb.ListTasksResponse:
    """Returns a page of tasks in planned order, each followed by its candidates; raises NOT_FOUND."""
    parent = EpicName.parse(request.parent, wildcard=True)
    sequence = _sequence(connection, parent.parent)
    size = page_tokens.page_size(request.page_size, 100, 500)
    chosen = select_tasks().where(tasks.c.run == parent.run)
    if parent.epic != ANY:
        _check_epic(connection, parent)
        chosen = chosen.where(tasks.c.epic == parent.epic)
    after = page_tokens.numbers(request.page_token, 3)
    place = (epics.c.place, tasks.c.position, tasks.c.candidate)
    if after:
        chosen = chosen.where(sa.tuple_(*place) > tuple(after))
    rows = connection.execute(chosen.order_by(*place).limit(size + 1)).all()
    more = ""
    if len(rows) > size:
        last = rows[size - 1]
        more = page_tokens.token(last.place, last.position, last.candidate)
    found = tasks_of(connection, rows[:size])
    return pb.ListTasksResponse(tasks=found, next_page_token=more, sequence=sequence)


def list_attempts(connection: sa.Connection, request: pb.ListAttemptsRequest) -> pb.ListAttemptsResponse:
    """Returns a page of attempts, by task in planned order, then oldest first; raises NOT_FOUND."""
    parent = TaskName.parse(request.parent, wildcard=True)
    _sequence(connection, parent.parent.parent)
    size = page_tokens.page_size(request.page_size, 100, 500)
    chosen = _select_attempts().where(attempts.c.run == parent.run)
    if parent.epic != ANY:
        _check_epic(connection, parent.parent)
        chosen = chosen.where(attempts.c.epic == parent.epic)
    if parent.task != ANY:
        if (
            parent.epic != ANY
            and not connection.execute(sa.select(tasks.c.task).where(*is_task(parent))).first()
        ):
            raise not_found(parent)
        chosen = chosen.where(attempts.c.task == parent.task)
    after = page_tokens.numbers(request.page_token, 4)
    place = (epics.c.place, tasks.c.position, tasks.c.candidate, attempts.c.number)
    if after:
        chosen = chosen.where(sa.tuple_(*place) > tuple(after))
    rows = connection.execute(chosen.order_by(*place).limit(size + 1)).all()
    more = ""
    if len(rows) > size:
        last = rows[size - 1]
        more = page_tokens.token(last.place, last.position, last.candidate, last.number)
    return pb.ListAttemptsResponse(attempts=map(attempt_of, rows[:size]), next_page_token=more)


def list_approvals(
    connection: sa.Connection, request: pb.ListApprovalsRequest, projects: Collection[str] = ()
) -> pb.ListApprovalsResponse:
    """Returns a page of the open questions of all runs, including parked attempts, oldest first.

    Only those of `projects` unless that is empty.
    """
    size = page_tokens.page_size(request.page_size, 100, 500)
    waiting = sa.select(attempts).join(tasks, NEWEST_ATTEMPT).where(tasks.c.state == pb.TASK_STATE_WAITING)
    if projects:
        waiting = waiting.join(runs, runs.c.run == attempts.c.run).where(runs.c.project.in_(projects))
    asked = [approval for row in connection.execute(waiting) for approval in attempt_of(row).approvals]
    asked.sort(key=_age)
    if after := page_tokens.texts(request.page_token, 3):
        [asked_at] = page_tokens.numbers(page_tokens.token(after[0]), 1) or [0]
        asked = [each for each in asked if _age(each) > (asked_at, after[1], after[2])]
    more = page_tokens.token(*_age(asked[size - 1])) if len(asked) > size else ""
    return pb.ListApprovalsResponse(approvals=asked[:size], next_page_token=more)


def _age(approval: pb.Approval) -> tuple[int, str, str]:
    return (approval.request_time.ToNanoseconds(), approval.attempt, approval.approval_id)


def _select_attempts() -> sa.Select[Any]:
    joined = attempts.join(tasks, ATTEMPT_OF_TASK).join(
        epics, sa.and_(epics.c.run == attempts.c.run, epics.c.epic == attempts.c.epic)
    )
    return sa.select(attempts, epics.c.place, tasks.c.position, tasks.c.candidate).select_from(joined)


def _sequence(connection: sa.Connection, run: RunName) -> int:
    """Returns the sequence of the run's newest event; raises NOT_FOUND."""
    chosen = sa.select(runs.c.sequence).where(runs.c.run == run.run)
    sequence = connection.execute(chosen).scalar_one_or_none()
    if sequence is None:
        raise not_found(run)
    return int(sequence)


def _check_epic(connection: sa.Connection, epic: EpicName) -> None:
    if connection.execute(sa.select(epics.c.epic).where(*is_epic(epic))).first() is None:
        raise not_found(epic)

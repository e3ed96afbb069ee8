"""Reads the rows that commands base their decisions on."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import AttemptName, EpicName, RunName, TaskName
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, MergeState
from scheduler_svc.model.lifecycle.status import EpicStatus
from scheduler_svc.store.db.statements import this
from scheduler_svc.store.db.tables import IS_WHOLE, NEWEST_ATTEMPT, attempts, epics, runs, tasks
from scheduler_svc.store.queries.resources import RUN_COLUMNS, attempts_at, is_attempt, is_epic, is_task

Row = sa.Row[Any]


def run_row(connection: sa.Connection, name: RunName) -> Row:
    """Returns all columns of a run; raises NOT_FOUND."""
    row = connection.execute(sa.select(runs).where(runs.c.run == name.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return row


def project_of(connection: sa.Connection, run: str) -> str:
    """Returns the project of a run; empty if there is no such run."""
    return connection.execute(sa.select(runs.c.project).where(runs.c.run == run)).scalar_one_or_none() or ""


def epic_row(connection: sa.Connection, name: EpicName) -> Row:
    """Returns all columns of an epic; raises NOT_FOUND."""
    row = connection.execute(sa.select(epics).where(*is_epic(name))).one_or_none()
    if row is None:
        raise not_found(name)
    return row


def epics_of_run(connection: sa.Connection, name: RunName) -> Sequence[Row]:
    """Returns all columns of the epics of a run, in the order of the plan."""
    return connection.execute(sa.select(epics).where(epics.c.run == name.run).order_by(epics.c.place)).all()


def epic_status(connection: sa.Connection, name: EpicName) -> EpicStatus:
    """Returns the status of an epic; raises NOT_FOUND."""
    row = epic_row(connection, name)
    return EpicStatus(row.state, MergeState(row.merge_state))


def task_row(connection: sa.Connection, name: TaskName) -> Row | None:
    """Returns all columns of a task or candidate; None if it does not exist."""
    return connection.execute(sa.select(tasks).where(*is_task(name))).one_or_none()


def is_tried(connection: sa.Connection, name: TaskName) -> bool:
    """Returns whether a task's candidates have started and it has no live attempt itself; never for a candidate."""
    row = task_row(connection, name)
    going_on = {pb.TASK_STATE_RUNNING, pb.TASK_STATE_WAITING}
    if row is None or not row.candidates or row.state not in going_on:
        return False
    live = sa.select(attempts.c.number).where(*attempts_at(name), attempts.c.ended_at.is_(None))
    return connection.execute(live).one_or_none() is None


def task_rows(connection: sa.Connection, name: EpicName) -> Sequence[Row]:
    """Returns all columns of an epic's tasks in execution order; empty if the epic does not exist."""
    chosen = sa.select(tasks).where(tasks.c.run == name.run, tasks.c.epic == name.epic, IS_WHOLE)
    return connection.execute(chosen.order_by(tasks.c.position)).all()


def all_task_rows(connection: sa.Connection, name: RunName) -> Sequence[Any]:
    """Returns the epic and the state of each task of a run."""
    chosen = sa.select(tasks.c.epic, tasks.c.state).where(tasks.c.run == name.run)
    return connection.execute(chosen).all()


def tasks_by_end(connection: sa.Connection, name: EpicName) -> Sequence[Any]:
    """Returns an epic's tasks, each with its newest attempt if it has one, in the order of the attempts' ends.

    The position of tasks without an ended attempt is undefined. `attempt_state` and `ended_at` are those of
    the attempt.
    """
    chosen = (
        sa.select(
            tasks.c.task,
            tasks.c.state,
            tasks.c.commit_id,
            tasks.c.resolves,
            tasks.c.skipped_by,
            tasks.c.review,
            tasks.c.chosen,
            attempts.c.number,
            attempts.c.state.label("attempt_state"),
            attempts.c.ended_at,
        )
        .outerjoin(attempts, NEWEST_ATTEMPT)
        .where(tasks.c.run == name.run, tasks.c.epic == name.epic, IS_WHOLE)
        .order_by(attempts.c.ended_at, tasks.c.position)
    )
    return connection.execute(chosen).all()


def open_runs(connection: sa.Connection) -> Sequence[str]:
    """Returns the ids of the runs that have not ended."""
    return connection.execute(sa.select(runs.c.run).where(runs.c.ended_at.is_(None))).scalars().all()


def is_open(connection: sa.Connection, run: str) -> bool:
    """Returns whether a run has not ended."""
    chosen = sa.select(runs.c.run).where(runs.c.run == run, runs.c.ended_at.is_(None))
    return connection.execute(chosen).one_or_none() is not None


# The run of an accepted attempt, unless the run has ended.
ACCEPTED_RUN: Final = (
    sa.select(*RUN_COLUMNS)
    .join(attempts, attempts.c.run == runs.c.run)
    .where(*this(attempts), attempts.c.state == pb.ATTEMPT_STATE_ACCEPTED, runs.c.ended_at.is_(None))
)


# The epics of a run whose commits could conflict or are merged, in the order of the plan. An epic that already
# conflicts can still be merged.
EPICS_IN_PLAY: Final = (
    sa.select(
        epics.c.epic,
        epics.c.start_commit,
        epics.c.merge_state,
        epics.c.spec,
        epics.c.head_commit,
        epics.c.worker,
    )
    .where(
        epics.c.run == sa.bindparam("of_run"),
        epics.c.head_commit != "",
        sa.or_(
            epics.c.state.not_in([state for state in ENDED_EPIC if state != pb.EPIC_STATE_CONFLICTED]),
            epics.c.merge_state == MergeState.MERGED,
        ),
    )
    .order_by(epics.c.place)
)


def live_attempts(connection: sa.Connection, run: str) -> list[Row]:
    """Returns all columns of a run's attempts that have not ended."""
    live = sa.select(attempts).where(attempts.c.run == run, attempts.c.ended_at.is_(None))
    return list(connection.execute(live))


def ended_attempts(connection: sa.Connection, names: Iterable[AttemptName]) -> list[AttemptName]:
    """Returns those of the attempts that have ended."""
    rows = ((name, attempt_rows(connection, name)) for name in names)
    return [name for name, found in rows if found and found[0].ended_at is not None]


def attempt_rows(connection: sa.Connection, name: AttemptName) -> Sequence[Row]:
    """Returns all columns of an attempt; no row if the attempt does not exist."""
    return connection.execute(sa.select(attempts).where(*is_attempt(name))).all()


def newest_runs(connection: sa.Connection, count: int, projects: Collection[str] = ()) -> Sequence[Row]:
    """Returns RUN_COLUMNS of the runs that have not ended and of the `count` newest ones, the newest first.

    If there are `projects`, the newest ones are theirs; runs of others that have not ended are returned too.
    """
    newest = sa.select(runs.c.run).order_by(runs.c.created_at.desc(), runs.c.run.desc()).limit(count)
    if projects:
        newest = newest.where(runs.c.project.in_(projects))
    return _runs_where(connection, sa.or_(runs.c.ended_at.is_(None), runs.c.run.in_(newest)))


def run_versions(connection: sa.Connection, known: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Returns by id the version, which every change modifies, of each run that is `known` or has not ended."""
    # Only cancelling has no event.
    version = (runs.c.run, runs.c.sequence, runs.c.state)
    chosen = sa.select(*version).where(sa.or_(runs.c.ended_at.is_(None), runs.c.run.in_(known)))
    return {row.run: tuple(row) for row in connection.execute(chosen)}


def run_rows(connection: sa.Connection, names: Sequence[str]) -> Sequence[Row]:
    """Returns RUN_COLUMNS of these runs, the newest first."""
    return _runs_where(connection, runs.c.run.in_(names))


def _runs_where(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> Sequence[Row]:
    chosen = sa.select(*RUN_COLUMNS).where(wanted).order_by(runs.c.created_at.desc(), runs.c.run.desc())
    return connection.execute(chosen).all()

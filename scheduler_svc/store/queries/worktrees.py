"""Reads which epics have worktrees, and which worktrees must be removed or torn down."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import ANY, EpicName, RunName, WorktreeName
from scheduler_svc.model.home import Home
from scheduler_svc.store.db.plan_tables import candidate_worktrees
from scheduler_svc.store.db.statements import EPIC_WORKER
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.queries import page_tokens
from scheduler_svc.store.queries.resources import is_epic
from scheduler_svc.store.rows.retention.run_retention import Retention

# Columns are read by name.
Row: TypeAlias = sa.Row[Any]

# An epic that started but has no recorded worktree: its worker may have created one without reporting it. The
# database does not record that there is none, so each leader asks the worker again, which is rare and cheap.
_UNTOLD: Final = sa.and_(
    epics.c.worktree_path == "", epics.c.started_at.is_not(None), epics.c.start_commit == ""
)


def _select() -> sa.Select[Any]:
    return sa.select(
        EPIC_WORKER.label("worker"),
        runs.c.ended_at,
        epics.c.run,
        epics.c.epic,
        epics.c.state,
        epics.c.worktree_path,
        epics.c.archive_commit,
        epics.c.archived_at,
        epics.c.restored_at,
    ).join(runs, runs.c.run == epics.c.run)


def _of(name: EpicName | WorktreeName) -> sa.Select[Any]:
    return _select().where(*is_epic(name))


def read_worktree(connection: sa.Connection, name: WorktreeName) -> Row:
    """Returns the row of a worktree; raises NOT_FOUND."""
    row = connection.execute(_of(name)).one_or_none()
    if row is None:
        raise not_found(name)
    return row


def read_page(connection: sa.Connection, request: pb.ListEpicWorktreesRequest, size: int) -> Sequence[Row]:
    """Returns the rows of a page and, if there is a next page, its first row; raises NOT_FOUND."""
    chosen = _select().where(sa.or_(epics.c.worktree_path != "", epics.c.archive_commit != ""))
    if request.parent != f"runs/{ANY}":
        run = RunName.parse(request.parent)
        if connection.execute(sa.select(runs.c.run).where(runs.c.run == run.run)).one_or_none() is None:
            raise not_found(run)
        chosen = chosen.where(epics.c.run == run.run)
    after = page_tokens.texts(request.page_token, 2)
    if after:
        chosen = chosen.where(sa.tuple_(epics.c.run, epics.c.epic) > tuple(after))
    return connection.execute(chosen.order_by(epics.c.run, epics.c.epic).limit(size + 1)).all()


def read_due(connection: sa.Connection, retention: Retention, now: int) -> Sequence[Row]:
    """Returns the rows of worktrees of ended runs that can be removed."""
    due = (runs.c.ended_at.is_not(None), epics.c.worktree_path != "", retention.is_due(now))
    return connection.execute(_select().where(*due).order_by(epics.c.run, epics.c.epic)).all()


def read_archives(connection: sa.Connection, names: Sequence[EpicName]) -> list[tuple[str, str]]:
    """Returns each epic's worktree path, empty if there is none, and its archive commit."""
    rows = [connection.execute(_of(name)).one() for name in names]
    return [(row.worktree_path, row.archive_commit) for row in rows]


def left_behind(connection: sa.Connection, retention: Retention, now: int) -> list[RunName]:
    """Returns the ended runs with a worktree that must be removed or torn down."""
    chosen = (
        sa.select(runs.c.run)
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.ended_at.is_not(None), _has_work(retention, now))
        .distinct()
    )
    of_candidates = (
        sa.select(runs.c.run)
        .select_from(candidate_worktrees.join(epics, _of_epic()).join(runs, runs.c.run == epics.c.run))
        .where(runs.c.ended_at.is_not(None), _candidate_work(retention, now))
        .distinct()
    )
    found = [*connection.execute(chosen).scalars(), *connection.execute(of_candidates).scalars()]
    return [RunName(run) for run in dict.fromkeys(found)]


class MovedEpic(NamedTuple):
    """An epic whose place is another worker than the one that has a worktree of it."""

    name: EpicName
    home: Home
    project_file: bytes | None
    generation: int


def moved_away(connection: sa.Connection, names: Sequence[EpicName], worker: str) -> list[MovedEpic]:
    """Returns those of the epics that have a place of their own, and none on this worker."""
    columns = (runs.c.project, runs.c.worker, runs.c.project_file, epics.c.generation)
    found: list[MovedEpic] = []
    for name in names:
        chosen = sa.select(*columns).where(
            *is_epic(name.whole), runs.c.run == epics.c.run, epics.c.generation > 0, epics.c.worker != worker
        )
        for project, home, file, generation in connection.execute(chosen):
            found.append(MovedEpic(name, Home(project, home), file, generation))
    return found


def to_clean(
    connection: sa.Connection,
    run: RunName,
    retention: Retention,
    now: int,
    *,
    ended_only: bool,
) -> list[Row]:
    """Returns the epics of a run whose worktrees must be removed, if `due`, or otherwise torn down.

    With `ended_only`, returns no epics before the run has ended.
    """
    condition = runs.c.ended_at.is_not(None) if ended_only else sa.true()
    chosen = (
        sa.select(
            runs.c.project,
            runs.c.worker.label("home"),
            EPIC_WORKER.label("worker"),
            runs.c.project_file,
            epics.c.epic,
            epics.c.worktree_path,
            epics.c.lease,
            sa.or_(_UNTOLD, retention.is_due(now)).label("due"),
        )
        .join(epics, epics.c.run == runs.c.run)
        .where(runs.c.run == run.run, condition, _has_work(retention, now))
        .order_by(epics.c.place)
    )
    of_candidates = _candidates().where(runs.c.run == run.run, condition, _candidate_work(retention, now))
    due = retention.is_due(now).label("due")
    return [*connection.execute(of_candidates.add_columns(due)), *connection.execute(chosen)]


def of_candidates(connection: sa.Connection, name: EpicName) -> list[Row]:
    """Returns the worktrees of an epic's candidates, to remove them; the epic's key is EPIC@N."""
    due = sa.true().label("due")
    return list(connection.execute(_candidates().add_columns(due).where(*is_epic(name))))


def _candidates() -> sa.Select[Any]:
    number = sa.cast(candidate_worktrees.c.candidate, sa.Text)
    return (
        sa.select(
            runs.c.project,
            runs.c.worker.label("home"),
            EPIC_WORKER.label("worker"),
            runs.c.project_file,
            (epics.c.epic + "@" + number).label("epic"),
            candidate_worktrees.c.worktree_path,
            candidate_worktrees.c.lease,
        )
        .select_from(candidate_worktrees.join(epics, _of_epic()).join(runs, runs.c.run == epics.c.run))
        .order_by(epics.c.place, candidate_worktrees.c.candidate)
    )


def _of_epic() -> sa.ColumnElement[bool]:
    return sa.and_(candidate_worktrees.c.run == epics.c.run, candidate_worktrees.c.epic == epics.c.epic)


def _candidate_work(retention: Retention, now: int) -> sa.ColumnElement[bool]:
    """Returns the condition for worktrees of candidates that need cleaning, like `_has_work`."""
    return sa.or_(candidate_worktrees.c.lease.is_not(None), retention.is_due(now))


def _has_work(retention: Retention, now: int) -> sa.ColumnElement[bool]:
    """Returns the condition for epics that need cleaning, in a run that has ended or ends now."""
    # A worktree without a lease has already been torn down.
    there = sa.or_(epics.c.lease.is_not(None), retention.is_due(now))
    return sa.or_(_UNTOLD, sa.and_(epics.c.worktree_path != "", there))


def read_restorable(connection: sa.Connection, name: EpicName) -> Any:
    """Returns the row that decides on restoring an epic's worktree; `state` is the run's. Raises NOT_FOUND."""
    return _read_epic(connection, name, epics.c.archive_commit, epics.c.restored_at)


def read_removable(connection: sa.Connection, name: EpicName) -> Row:
    """Returns the row that decides on removing an epic's worktree, as `to_clean` does. Raises NOT_FOUND."""
    return _read_epic(connection, name, epics.c.epic, epics.c.lease, sa.true().label("due"))


def _read_epic(connection: sa.Connection, name: EpicName, *more: sa.ColumnElement[Any]) -> Row:
    """Returns what every decision about an epic's worktree needs, and `more` columns. Raises NOT_FOUND."""
    chosen = sa.select(
        runs.c.project,
        runs.c.worker.label("home"),
        EPIC_WORKER.label("worker"),
        runs.c.project_file,
        runs.c.ended_at,
        runs.c.state,
        epics.c.worktree_path,
        *more,
    )
    row = connection.execute(chosen.where(*is_epic(name), runs.c.run == epics.c.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return row

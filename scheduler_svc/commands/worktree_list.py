"""The worktrees of epics: what the database knows of them, and what their workers see."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError, not_found
from heddle.names import ANY, EpicName, RunName, WorktreeName
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Work
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.db.times import optional_timestamp
from scheduler_svc.store.queries import page_tokens
from scheduler_svc.store.rows.retention import Retention

Row = sa.Row[Any]
Read = Callable[[Work[Any]], Awaitable[Any]]

# Seconds; a worker takes a git for each worktree.
_LOOK_TIMEOUT: Final = 60.0

# Of one answer of a worker.
_PAGE: Final = 1000


async def list_worktrees(
    read: Read, workers: Workers, retention: Retention, request: pb.ListEpicWorktreesRequest
) -> pb.ListEpicWorktreesResponse:
    """Returns a page, by name; raises NOT_FOUND."""
    size = page_tokens.page_size(request.page_size, 100, 500)
    rows = await read(partial(_read_page, request=request, size=size))
    more = page_tokens.token(rows[size - 1].run, rows[size - 1].epic) if len(rows) > size else ""
    found = await describe(workers, retention, rows[:size], look=not request.sizes_only)
    return pb.ListEpicWorktreesResponse(worktrees=found, next_page_token=more)


async def get_worktree(
    read: Read, workers: Workers, retention: Retention, name: WorktreeName
) -> pb.EpicWorktree:
    """Returns one; raises NOT_FOUND."""
    rows = await read(lambda connection: connection.execute(_of(name)).all())
    if not rows:
        raise not_found(name)
    [worktree] = await describe(workers, retention, rows)
    return worktree


def read_due(connection: sa.Connection, retention: Retention, now: int) -> Sequence[Row]:
    """Returns the rows of worktrees that may go, of runs that have ended."""
    due = (runs.c.ended_at.is_not(None), epics.c.worktree_path != "", retention.is_due(now))
    return connection.execute(_select().where(*due).order_by(epics.c.run, epics.c.epic)).all()


async def describe(
    workers: Workers, retention: Retention, rows: Sequence[Row], *, look: bool = True
) -> list[pb.EpicWorktree]:
    """Returns the worktrees of rows, with what their workers say of them."""
    asked = sorted({(row.worker, row.run) for row in rows if row.worktree_path})
    answers = await asyncio.gather(*(_ask(workers, worker, run, look=look) for worker, run in asked))
    seen = dict(zip(asked, answers, strict=True))
    return [_worktree(row, retention, seen.get((row.worker, row.run))) for row in rows]


async def _ask(
    workers: Workers, worker_name: str, run: str, *, look: bool
) -> Mapping[str, pb.Worktree] | HeddleError:
    """Returns what a worker says of a run's worktrees, by epic; or why it says nothing."""
    found: dict[str, pb.Worktree] = {}
    request = pb.ListWorktreesRequest(run=str(RunName(run)), look=look, page_size=_PAGE)
    try:
        worker = workers.get(worker_name)
        while True:
            page = await call(worker.name, worker.worktree.ListWorktrees, request, _LOOK_TIMEOUT)
            found |= {each.epic: each for each in page.worktrees}
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token
    except HeddleError as error:
        return error


def _worktree(
    row: Row, retention: Retention, seen: Mapping[str, pb.Worktree] | HeddleError | None
) -> pb.EpicWorktree:
    name = EpicName(row.run, row.epic)
    present = bool(row.worktree_path)
    worktree = pb.EpicWorktree(
        name=str(WorktreeName(*name)),
        state=pb.EPIC_WORKTREE_STATE_PRESENT if present else pb.EPIC_WORKTREE_STATE_ARCHIVED,
        path=row.worktree_path,
        branch=name.branch,
        worker=row.worker,
        epic_state=row.state,
        remove_time=optional_timestamp(retention.remove_at(row)) if present else None,
        archive_commit=row.archive_commit,
        archive_time=optional_timestamp(row.archived_at),
        restore_time=optional_timestamp(row.restored_at),
    )
    if isinstance(seen, HeddleError):
        worktree.problem = seen.message
    elif seen is not None and str(name) in seen:
        _add(worktree, seen[str(name)])
    elif present:
        worktree.problem = f"worker {row.worker} has no such worktree"
    return worktree


def _add(worktree: pb.EpicWorktree, seen: pb.Worktree) -> None:
    for name in ("create_time", "measure_time"):
        if seen.HasField(name):
            getattr(worktree, name).CopyFrom(getattr(seen, name))
    if seen.HasField("disk_bytes"):
        worktree.disk_bytes = seen.disk_bytes
    if seen.HasField("dirty"):
        worktree.dirty = seen.dirty


def _select() -> sa.Select[Any]:
    return sa.select(
        runs.c.worker,
        runs.c.ended_at,
        epics.c.run,
        epics.c.epic,
        epics.c.state,
        epics.c.worktree_path,
        epics.c.archive_commit,
        epics.c.archived_at,
        epics.c.restored_at,
    ).join(runs, runs.c.run == epics.c.run)


def read_archives(connection: sa.Connection, names: Sequence[EpicName]) -> list[tuple[str, str]]:
    """Returns of each epic the path of its worktree, empty where there is none, and what is archived of it."""
    rows = [connection.execute(_of(name)).one() for name in names]
    return [(row.worktree_path, row.archive_commit) for row in rows]


def _of(name: EpicName | WorktreeName) -> sa.Select[Any]:
    return _select().where(epics.c.run == name.run, epics.c.epic == name.epic)


def _read_page(connection: sa.Connection, request: pb.ListEpicWorktreesRequest, size: int) -> Sequence[Row]:
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


def epics_of(worktrees: Iterable[pb.EpicWorktree]) -> list[EpicName]:
    """Returns whose they are."""
    return [WorktreeName.parse(each.name).parent for each in worktrees]

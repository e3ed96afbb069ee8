"""Lists the worktrees of epics, with data from the database and from their workers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName, WorktreeName
from heddle.rpc.paging import pages
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Row
from scheduler_svc.store.db.times import optional_timestamp
from scheduler_svc.store.db.writer import Work
from scheduler_svc.store.queries import page_tokens, worktrees
from scheduler_svc.store.rows.retention.run_retention import Retention

Read = Callable[[Work[Any]], Awaitable[Any]]

# Seconds; a worker runs git once per worktree.
_LOOK_TIMEOUT: Final = 60.0

# Maximum number of worktrees in one response of a worker.
_PAGE: Final = 1000


async def list_worktrees(
    read: Read, workers: Workers, retention: Retention, request: pb.ListEpicWorktreesRequest
) -> pb.ListEpicWorktreesResponse:
    """Returns a page of worktrees, sorted by name; raises NOT_FOUND."""
    size = page_tokens.page_size(request.page_size, 100, 500)
    rows = await read(partial(worktrees.read_page, request=request, size=size))
    more = page_tokens.token(rows[size - 1].run, rows[size - 1].epic) if len(rows) > size else ""
    found = await describe(workers, retention, rows[:size], look=not request.sizes_only)
    return pb.ListEpicWorktreesResponse(worktrees=found, next_page_token=more)


async def get_worktree(
    read: Read, workers: Workers, retention: Retention, name: WorktreeName
) -> pb.EpicWorktree:
    """Returns one worktree; raises NOT_FOUND."""
    row = await read(partial(worktrees.read_worktree, name=name))
    [worktree] = await describe(workers, retention, [row])
    return worktree


async def describe(
    workers: Workers, retention: Retention, rows: Sequence[Row], *, look: bool = True
) -> list[pb.EpicWorktree]:
    """Returns the worktrees of the rows, with the data that their workers report."""
    asked = sorted({(row.worker, row.run) for row in rows if row.worktree_path})
    answers = await asyncio.gather(*(_ask(workers, worker, run, look=look) for worker, run in asked))
    seen = dict(zip(asked, answers, strict=True))
    return [_worktree(row, retention, seen.get((row.worker, row.run))) for row in rows]


async def _ask(
    workers: Workers, worker_name: str, run: str, *, look: bool
) -> Mapping[str, pb.Worktree] | HeddleError:
    """Returns a worker's report on a run's worktrees, by epic, or the reason why there is none."""
    request = pb.ListWorktreesRequest(run=str(RunName(run)), look=look, page_size=_PAGE)
    try:
        worker = workers.get(worker_name)
        ask = partial(call, worker.name, worker.worktree.ListWorktrees, timeout=_LOOK_TIMEOUT)
        return {each.epic: each async for page in pages(ask, request) for each in page.worktrees}
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


def epics_of(worktrees: Iterable[pb.EpicWorktree]) -> list[EpicName]:
    """Returns the epics that own the worktrees."""
    return [WorktreeName.parse(each.name).parent for each in worktrees]

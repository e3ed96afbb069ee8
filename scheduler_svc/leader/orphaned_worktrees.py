"""Removes worktrees that epics have left behind on earlier places, once their workers can be reached."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName
from heddle.project import environment
from heddle.rpc.paging import pages
from scheduler_svc.leader.context.project_setup import tear_down
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.workers import call
from scheduler_svc.store.queries import worktrees
from scheduler_svc.store.queries.worktrees import MovedEpic

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 120.0

_PAGE: Final = 1000


@dataclass(frozen=True)
class _LeftBehind:
    """A worktree in the form that a teardown needs."""

    worker: str
    worktree_path: str
    project_file: bytes | None
    lease: bytes | None


async def remove_orphans(term: Term, worker: str) -> None:
    """Archives and removes the worktrees of epics that have moved away; only logs an error, as the next time tries again."""

    async def ask(request: pb.ListWorktreesRequest) -> pb.ListWorktreesResponse:
        return await call(worker, term.workers.connected(worker).worktree.ListWorktrees, request, _TIMEOUT)

    try:
        async for page in pages(ask, pb.ListWorktreesRequest(page_size=_PAGE)):
            here = {EpicName.parse(each.epic): each for each in page.worktrees}
            moved = await term.read(partial(worktrees.moved_away, names=list(here), worker=worker))
            for epic in moved:
                await _remove(term, worker, epic, here[epic.name])
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("orphaned_worktrees_not_removed", worker=worker, error=error.message)


async def _remove(term: Term, worker: str, epic: MovedEpic, here: pb.Worktree) -> None:
    lease = None
    if here.HasField("lease"):
        file = pb.ProjectFile.FromString(epic.project_file or b"")
        variables = environment.resolved(file.env, here.lease.slot, list(here.lease.ports))
        lease = pb.Lease(environment=variables).SerializeToString()
    await tear_down(term, epic.name, _LeftBehind(worker, here.path, epic.project_file, lease))
    request = pb.RemoveWorktreeRequest(
        project=epic.home.project_at(worker),
        epic=str(epic.name),
        epoch=term.epoch,
        before_generation=epic.generation,
    )
    done = await call(worker, term.workers.connected(worker).worktree.RemoveWorktree, request, _TIMEOUT)
    log.info("orphaned_worktree_removed", epic=str(epic.name), worker=worker, archive=done.archive_commit)

"""Has the refs of runs that ended long ago removed from the remotes of their projects, which list all refs at each push."""

from functools import partial
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import call
from scheduler_svc.store.rows.retention.remote_refs import OldRun, leave_claims, mark_removed

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 600.0


async def remove(term: Term, run: OldRun) -> str:
    """Removes the refs of one run that nothing needs; returns why that is not possible now, empty if it is done.

    Can be repeated: the rest is removed later.
    """
    try:
        worker = _worker(term, run)
        # Before anything is removed: if this leader dies meanwhile, an epic of a reopened run has a claim all the same.
        if not await term.write("leave_claims", partial(leave_claims, run=run)):
            return ""
        request = pb.RemoveRemoteRefsRequest(project=run.project, runs=[str(run.name)], epoch=term.epoch)
        done = await call(worker.name, worker.worktree.RemoveRemoteRefs, request, _TIMEOUT)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("remote_refs_not_removed", run=str(run.name), error=error.message)
        return f"{run.name}: {error.message}"
    for ref, why in done.kept.items():
        log.warning("remote_ref_kept", run=str(run.name), ref=ref, reason=why)
    mark = partial(mark_removed, run=run, now=term.now())
    await term.write("remote_refs_removed", mark, str(run.name))
    return ""


def _worker(term: Term, run: OldRun) -> Worker:
    """Returns the run's home, or another worker if that has left the fleet. Raises NO_WORKER."""
    return term.workers.connected(run.home) if run.home in term.workers else term.workers.most_free()

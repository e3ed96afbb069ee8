"""Stops sessions that run on a worker although their attempt has ended, as after a long absence of the worker."""

from functools import partial
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName
from heddle.rpc.paging import pages
from scheduler_svc.leader.attempts.session_stop import stop_session
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.workers import call
from scheduler_svc.store.queries.records import ended_attempts

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 60.0

_PAGE: Final = 1000


async def stop_orphans(term: Term, worker: str) -> None:
    """Stops the worker's sessions of ended attempts; only logs an error, because its next return tries again."""

    async def ask(request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        return await call(worker, term.workers.get(worker).agent.ListSessions, request, _TIMEOUT)

    try:
        async for page in pages(ask, pb.ListSessionsRequest(running_only=True, page_size=_PAGE)):
            names = [AttemptName.parse(session.attempt) for session in page.sessions]
            ended = await term.read(partial(ended_attempts, names=names)) if names else []
            for name in ended:
                log.warning("orphaned_session_stopped", attempt=str(name), worker=worker)
                await stop_session(term, name, worker, "its attempt has ended")
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("orphaned_sessions_not_stopped", worker=worker, error=error.message)

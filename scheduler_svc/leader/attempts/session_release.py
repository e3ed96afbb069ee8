"""Tells a worker that a session's events are stored, so that the worker can delete its copy."""

from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.workers import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 30.0


async def release_session(term: Term, attempt: AttemptName, worker: str) -> None:
    """Releases an ended attempt's session; tries once, as its log is removed with the run's logs anyway."""
    request = pb.ReleaseSessionRequest(attempt=str(attempt), epoch=term.epoch)
    try:
        await call(worker, term.workers.get(worker).agent.ReleaseSession, request, _TIMEOUT)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.info("session_not_released", attempt=str(attempt), error=error.message)

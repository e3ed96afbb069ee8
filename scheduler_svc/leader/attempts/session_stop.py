"""Stops and parks sessions on their workers."""

from functools import partial
from typing import Final

import grpc
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName
from heddle.timing.backoff import Backoff
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.lease_end import before_lease_end
from scheduler_svc.pools.workers import call
from scheduler_svc.store.queries.assignments import read_assignment

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds that a worker may take to start or end a session: it only has to write the request to disk.
SESSION_TIMEOUT: Final = 60.0


async def stop_session(term: Term, attempt: AttemptName, worker: str, reason: str) -> bool:
    """Stops a session once its worker is reachable; returns False if the session does not exist.

    When the lease of an unreachable worker has expired, its sessions have ended, and True is returned.
    """
    request = pb.StopSessionRequest(attempt=str(attempt), epoch=term.epoch, reason=reason)
    backoff = Backoff()
    while True:
        try:
            stopping = call(worker, term.workers.get(worker).agent.StopSession, request, SESSION_TIMEOUT)
            await before_lease_end(term.workers, worker, stopping)
        except HeddleError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return False
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            if term.workers.has_let_go(worker):
                return True
        else:
            return True
        await backoff.wait()


async def park_session(term: Term, attempt: AttemptName) -> None:
    """Parks a live attempt's session if it still waits for the operator; the driver receives the result."""
    assignment = await term.read(partial(read_assignment, attempt=attempt))
    if assignment is None or assignment.result:
        return
    request = pb.ParkSessionRequest(attempt=str(attempt), epoch=term.epoch)
    worker = term.workers.get(assignment.worker)
    try:
        await call(worker.name, worker.agent.ParkSession, request, SESSION_TIMEOUT)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        # It has its answer, or its worker is unreachable: the loop decides again.
        log.info("session_not_parked", attempt=str(attempt), error=error.message)


async def stop(term: Term, attempt: AttemptName) -> None:
    """Stops the session of an attempt that has been asked to stop, even if the session is about to start."""
    backoff = Backoff()
    while True:
        assignment = await term.read(partial(read_assignment, attempt=attempt))
        if assignment is None or assignment.result or assignment.stop_reason is None:
            return
        if await stop_session(term, attempt, assignment.worker, assignment.stop_reason):
            return
        await backoff.wait()

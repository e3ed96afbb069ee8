"""Ends attempts that continue later: parked sessions, and those whose provider takes no work."""

from functools import partial

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.outcomes import parked_sessions, provider_outages


async def park(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> bool:
    """Records that the session is parked; returns False if the attempt must end instead."""
    end = partial(parked_sessions.park, attempt=attempt, reason=result.reason, now=term.now())
    return await term.write("park", end, LOOP, str(attempt.parent.parent.parent), str(attempt))


async def suspend(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> bool:
    """Records that the provider accepts no work; returns False if the attempt must end instead."""
    end = partial(provider_outages.suspend, attempt=attempt, result=result, now=term.now())
    return await term.write("suspend", end, LOOP, str(attempt.parent.parent.parent), str(attempt))

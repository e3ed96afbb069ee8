"""Ends attempts that continue later: parked sessions, those whose provider takes no work, and those of epics on hold."""

from functools import partial
from typing import Final

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.policy.pauses import OUTAGES
from scheduler_svc.store.db.doorbell import attempt_topics
from scheduler_svc.store.outcomes import base_syncs, parked_sessions, provider_outages

# After these outcomes the next attempt resumes the session. A session over its budget share may get another.
_GOES_ON_LATER: Final = frozenset({pb.OUTCOME_PARKED, pb.OUTCOME_OVER_BUDGET})


async def continues_later(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> bool:
    """Records that the attempt continues later; returns False if its session has ended for good."""
    if result.outcome in _GOES_ON_LATER and await park(term, attempt, result):
        return True
    return result.outcome in OUTAGES and await suspend(term, attempt, result)


async def park(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> bool:
    """Records that the session is parked; returns False if the attempt must end instead."""
    end = partial(parked_sessions.park, attempt=attempt, reason=result.reason, now=term.now())
    return await term.write("park", end, *attempt_topics(attempt))


async def suspend(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> bool:
    """Records that the provider accepts no work; returns False if the attempt must end instead."""
    end = partial(provider_outages.suspend, attempt=attempt, result=result, now=term.now())
    return await term.write("suspend", end, *attempt_topics(attempt))


async def hold(term: Term, attempt: AttemptName, branch: str, error: HeddleError) -> bool:
    """Records the SYNC_CONFLICT of the project's branch with the epic; returns False if the attempt must end instead."""
    epic = attempt.parent.parent
    short = f"{epic.run}/{epic.epic}"
    reason = (
        f"{error.message}; then `heddle sync {short}`; `heddle resolve {short}` lets the agent of the next task"
        f" resolve it; `heddle sync {short} --cancel` continues without {branch}"
    )
    end = partial(
        base_syncs.hold,
        attempt=attempt,
        branch=branch,
        commit=error.metadata.get("commit", ""),
        files=error.metadata.get("files", "").splitlines(),
        reason=reason,
        now=term.now(),
    )
    return await term.write("hold_epic", end, *attempt_topics(attempt))

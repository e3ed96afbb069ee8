"""Calls workers until they answer, and waits for what their environment lacks."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeVar

import grpc
import structlog

from heddle.errors import ENVIRONMENT_FAULTS, HeddleError
from heddle.timing.backoff import Backoff
from scheduler_svc.leader.context.faults import Note
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.lease_end import before_lease_end
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import call
from scheduler_svc.store.outcomes.environment_faults import Waiter

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Maximum seconds between two tries; the end of a fault, or a stop request, is noticed within this time.
_LONGEST_PAUSE: Final = 5.0

T = TypeVar("T")


async def call_when_ready(
    term: Term,
    waiter: Waiter,
    worker: str,
    method: Callable[[Worker], Callable[..., Awaitable[T]]],
    request: Any,
    *,
    timeout: float,
    waits_for: Collection[int],
    on_wait: Note,
) -> T:
    """Calls a worker until it answers; waits while it is unreachable or refuses for a reason in `waits_for`.

    A fault of the worker's environment among these is recorded as what `waiter` waits for. Before
    each pause, `on_wait` gets the error and can raise to end the wait.
    """
    backoff = Backoff()
    async with term.faults.around(waiter) as note:
        while True:
            try:
                called = term.workers.get(worker)
                answer = call(called.name, method(called), request, timeout)
                return await before_lease_end(term.workers, worker, answer)
            except HeddleError as error:
                if error.code is not grpc.StatusCode.UNAVAILABLE and error.reason not in waits_for:
                    raise
                log.info("worker_not_ready", name=str(waiter), error=error.message)
                if error.reason in waits_for and error.reason in ENVIRONMENT_FAULTS:
                    backoff.longest = _LONGEST_PAUSE
                    await note(error)
                await on_wait(error)
            await backoff.wait()

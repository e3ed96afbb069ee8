"""Calls of an attempt to its worker; they wait for the worker, until the attempt must stop or its place is lost."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from heddle import pb
from heddle.errors import ENVIRONMENT_FAULTS, HeddleError
from heddle.names import AttemptName
from scheduler_svc.leader.context.environment_waits import call_when_ready
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.home_repository import give_access
from scheduler_svc.pools.worker import Worker
from scheduler_svc.store.queries.assignments import Assignment, read_assignment

T = TypeVar("T")


class StoppedError(Exception):
    """The attempt was stopped before it had a session, or after its unreachable worker released it."""


class PlaceLostError(Exception):
    """The lease of the unreachable worker has expired, and the attempt's epic can continue on another one."""


class AttemptCalls:
    """Calls of one attempt."""

    def __init__(self, term: Term, attempt: AttemptName) -> None:
        self._term = term
        self._attempt = attempt

    async def assignment(self) -> Assignment | None:
        """Returns the attempt's assignment; None once it has ended."""
        return await self._term.read(partial(read_assignment, attempt=self._attempt))

    async def ask(
        self,
        assignment: Assignment,
        method: Callable[[Worker], Callable[..., Awaitable[T]]],
        request: Any,
        timeout: float,
        *,
        stops_at_once: bool = False,
        waits: bool = False,
    ) -> T:
        """Calls the worker until it answers; waits while the worker is unreachable or has no slot.

        A stop request ends the wait for an unreachable worker once nothing of the attempt can still run there: when
        its lease has expired, or with `stops_at_once` immediately. With `waits`, the call also waits while the worker's
        environment lacks something, because a call refused for that has changed nothing. A stop request ends that too.
        Raises PlaceLostError if the worker is the place of an epic that can continue elsewhere.
        """
        waits_for = {pb.ERROR_REASON_NO_SLOT, *(ENVIRONMENT_FAULTS if waits else ())}

        async def end_if_over(error: HeddleError) -> None:
            may_stop = stops_at_once or error.reason in waits_for
            await self.end_if_over(assignment, error, may_stop=may_stop)

        return await call_when_ready(
            self._term,
            self._attempt,
            assignment.worker,
            method,
            request,
            timeout=timeout,
            waits_for=waits_for,
            on_wait=end_if_over,
        )

    async def ask_git(
        self,
        assignment: Assignment,
        method: Callable[[Worker], Callable[..., Awaitable[T]]],
        request: pb.EnsureWorktreeRequest | pb.CommitTaskRequest,
        timeout: float,
        *,
        stops_at_once: bool = False,
    ) -> T:
        """Like `ask`, for calls that reach the project's remote; waits for that as well."""

        def with_access(worker: Worker) -> Callable[..., Awaitable[T]]:
            async def reach_and_ask(request: Any, timeout: float) -> T:
                await give_access(
                    self._term.workers,
                    request,
                    self._attempt.parent.parent,
                    generation=assignment.generation,
                    epoch=self._term.epoch,
                )
                return await method(worker)(request, timeout=timeout)

            return reach_and_ask

        return await self.ask(
            assignment, with_access, request, timeout, stops_at_once=stops_at_once, waits=True
        )

    async def end_if_over(self, assignment: Assignment, error: Exception, *, may_stop: bool = False) -> None:
        """Raises StoppedError or PlaceLostError if the attempt need not wait for its worker any longer.

        `may_stop`: a stop request counts although the worker's lease has not expired.
        """
        let_go = self._term.workers.has_let_go(assignment.worker)
        if (may_stop or let_go) and await self._stop_requested():
            raise StoppedError from error
        if let_go and assignment.generation:
            raise PlaceLostError from error

    async def _stop_requested(self) -> bool:
        found = await self.assignment()
        return found is None or found.stop_reason is not None

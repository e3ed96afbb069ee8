"""Tracks which attempts and merges of a leader's term wait for their environment."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import grpc
import structlog

from heddle.errors import ENVIRONMENT_FAULTS, HeddleError
from heddle.names import RunName
from heddle.timing.backoff import Backoff
from scheduler_svc.pools.lease_end import before_lease_end
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import call
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.outcomes import environment_faults
from scheduler_svc.store.outcomes.environment_faults import Waiter

if TYPE_CHECKING:
    from scheduler_svc.leader.context.term import Term

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Maximum seconds between two tries; the end of a fault, or a stop request, is noticed within this time.
_LONGEST_PAUSE: Final = 5.0

Note: TypeAlias = Callable[[HeddleError], Awaitable[None]]
T = TypeVar("T")


async def call_when_ready(
    term: "Term",
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


class Faults:
    """The waiting attempts and merges, and since when; the database has what they wait for."""

    def __init__(self, term: "Term") -> None:
        self._term = term
        # Start of each wait, in microseconds.
        self._waiting: dict[Waiter, int] = {}
        # See `_recorded`.
        self._faulty: set[RunName] = set()
        self._has_read = False

    @asynccontextmanager
    async def around(self, name: Waiter) -> AsyncIterator[Note]:
        """Yields a function that records a fault `name` waits for; records its end when the block exits."""

        async def note(error: HeddleError) -> None:
            if name not in self._waiting:
                log.warning("waits_for_environment", name=str(name), error=error.message)
                self._waiting[name] = self._term.now()
                record = partial(
                    environment_faults.record_fault, name=name, error=error, now=self._term.now()
                )
                await self._term.write("record_fault", record, LOOP, str(_run(name)))

        try:
            yield note
        except Exception:
            await self._over(name)
            raise
        await self._over(name)

    async def _over(self, name: Waiter) -> None:
        run = _run(name)
        began = self._waiting.pop(name, None)
        if began is None:
            await self._forget_old(run)
            return
        log.info("environment_recovered", name=str(name))
        record = partial(
            environment_faults.record_recovery,
            name=name,
            now=self._term.now(),
            began=began,
            others=any(_run(each) == run for each in self._waiting),
        )
        faulty = await self._recorded()
        # If it cannot be recorded, the run's next success clears the fault.
        faulty.add(run)
        await self._term.write("record_recovery", record, LOOP, str(run))
        faulty.discard(run)

    async def _forget_old(self, run: RunName) -> None:
        """Clears a recorded fault for which nothing waits any more, once any work of the run succeeds."""
        faulty = await self._recorded()
        if run not in faulty or any(_run(each) == run for each in self._waiting):
            return
        faulty.discard(run)
        await self._term.write(
            "clear_fault", partial(environment_faults.clear_fault, name=run), LOOP, str(run)
        )

    async def _recorded(self) -> set[RunName]:
        """Returns the runs that may have a recorded fault although nothing waits, at first those of an earlier leader."""
        if not self._has_read:
            self._faulty |= await self._term.read(environment_faults.read_faulty)
            self._has_read = True
        return self._faulty


def _run(name: Waiter) -> RunName:
    return RunName(name.run)

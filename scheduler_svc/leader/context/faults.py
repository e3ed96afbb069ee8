"""Tracks which attempts and merges of a leader's term wait for their environment."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import structlog

from heddle.errors import HeddleError
from heddle.names import RunName
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.writer import Work
from scheduler_svc.store.outcomes import environment_faults
from scheduler_svc.store.outcomes.environment_faults import Waiter

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Note: TypeAlias = Callable[[HeddleError], Awaitable[None]]
T = TypeVar("T")


class Records(Protocol):
    """The part of a term that reads and writes the database."""

    def now(self) -> int: ...

    async def read(self, work: Work[T]) -> T: ...

    async def write(self, point: str, work: Work[T], *topics: str) -> T: ...


class Faults:
    """The waiting attempts and merges, and since when; the database has what they wait for."""

    def __init__(self, term: Records) -> None:
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

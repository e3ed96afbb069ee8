"""Tracks which attempts and merges of a leader's term wait for their environment."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from heddle.errors import HeddleError
from heddle.names import RunName
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.outcomes import environment_faults
from scheduler_svc.store.outcomes.environment_faults import Waiter

if TYPE_CHECKING:
    from scheduler_svc.leader.term import Term

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Maximum seconds between two tries; the end of a fault, or a stop request, is noticed within this time.
LONGEST_PAUSE: Final = 5.0

Note: TypeAlias = Callable[[HeddleError], Awaitable[None]]


class Faults:
    """The waiting attempts and merges, and since when; the database has what they wait for."""

    def __init__(self, term: "Term") -> None:
        self._term = term
        # Start of each wait, in microseconds.
        self._waiting: dict[Waiter, int] = {}
        # Runs without a recorded fault of an earlier leader.
        self._clean: set[RunName] = set()

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
        await self._term.write("record_recovery", record, LOOP, str(run))
        self._clean.add(run)

    async def _forget_old(self, run: RunName) -> None:
        """Clears a fault that an earlier leader recorded, once any work of the run succeeds."""
        if run in self._clean or any(_run(each) == run for each in self._waiting):
            return
        self._clean.add(run)
        if await self._term.read(partial(environment_faults.read_fault, run=run)):
            await self._term.write(
                "clear_fault", partial(environment_faults.clear_fault, name=run), LOOP, str(run)
            )


def _run(name: Waiter) -> RunName:
    return RunName(name.run)

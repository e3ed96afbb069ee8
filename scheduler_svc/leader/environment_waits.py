"""Which attempts and merges of a leader's term wait for their environment, so that a run tells it once."""

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

# Seconds between two tries at most: a fault that is gone is seen, and a stop heard, within these.
LONGEST_PAUSE: Final = 5.0

Note: TypeAlias = Callable[[HeddleError], Awaitable[None]]


class Faults:
    """Who waits, and since when; what they wait for is in the database."""

    def __init__(self, term: "Term") -> None:
        self._term = term
        # When each began to, in microseconds.
        self._waiting: dict[Waiter, int] = {}
        # Runs of which no fault is noted that an earlier leader left.
        self._clean: set[RunName] = set()

    @asynccontextmanager
    async def around(self, name: Waiter) -> AsyncIterator[Note]:
        """Yields what notes a fault that `name` waits for; its end is noted when the block is left."""

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
        """Removes what an earlier leader noted, once something of the run gets through."""
        if run in self._clean or any(_run(each) == run for each in self._waiting):
            return
        self._clean.add(run)
        if await self._term.read(partial(environment_faults.read_fault, run=run)):
            await self._term.write(
                "clear_fault", partial(environment_faults.clear_fault, name=run), LOOP, str(run)
            )


def _run(name: Waiter) -> RunName:
    return RunName(name.run)

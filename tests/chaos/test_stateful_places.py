"""The scheduler's core keeps its invariants while epics move between workers that are lost."""

import pytest
import sqlalchemy as sa
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from heddle.names import EpicName
from scheduler_svc.store.rows import epics
from tests.chaos.test_stateful import COMMON, WORKERS, SchedulerCore

pytestmark = pytest.mark.timeout(900)


class PlacedCore(SchedulerCore):
    """The same for projects by URL, whose epics have places."""

    project = "https://example.com/app"

    @precondition(lambda self: self.names)
    @rule(worker=st.sampled_from(WORKERS))
    def lose_worker(self, worker: object) -> None:
        """The lease of an unreachable worker expires; it may be back at the next tick."""
        if writes := self.core.lose_worker(worker.name):  # type: ignore[attr-defined]  # a WorkerView
            self.core.write(*writes)


TestPlacedCore = PlacedCore.TestCase
TestPlacedCore.settings = settings(COMMON, max_examples=40)


def test_a_generation_that_is_used_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that gives a new place the number of an earlier one is caught."""

    def place(connection: sa.Connection, name: EpicName, worker: str, generation: int) -> None:
        placed(connection, name, worker, min(generation, 1))

    placed = epics.place
    monkeypatch.setattr(epics, "place", place)
    monkeypatch.setattr(epics, "lose_place", lambda _connection, name: name)
    with pytest.raises(AssertionError, match="of another place"):
        search()


def search() -> None:
    few = settings(COMMON, phases=[Phase.generate], max_examples=8, derandomize=False, database=None)
    # The first seed finds it; after a change of the rules, a later one may.
    for number in range(1, 26):
        seeded = seed(number)(type("Seeded", (PlacedCore,), {}))
        run_state_machine_as_test(seeded, settings=few)

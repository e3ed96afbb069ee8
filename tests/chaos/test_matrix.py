"""Services that die at each point where a change takes effect."""

import pytest

from heddle import failpoints
from tests.chaos.matrix import Crossing, cross, crossings
from tests.support.postgres import running_postgres

# Transactions whose statements are sent together.
TOGETHER = ("act_on", "ingest", "accept")


# One test for each fleet, so that parallel workers share them.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lane", crossings(failpoints.NAMES), ids=str)
async def test_death_at_any_failpoint_breaks_no_promise(lane: Crossing) -> None:
    """After SIGKILL before or after any commit, call, git update or sync, every run ends as expected."""
    assert await cross([lane]) == []


@pytest.mark.timeout(900)
async def test_death_around_a_transaction_on_postgresql_breaks_no_promise() -> None:
    """The same with PostgreSQL behind a network, for the transactions that every task needs."""
    points = [f"{name}.{when}_commit" for name in TOGETHER for when in ("before", "after")]
    with running_postgres() as server:
        assert await cross(crossings(points), server) == []

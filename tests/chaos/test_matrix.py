"""Services that die at each of the places where something becomes true."""

import pytest

from heddle import failpoints
from tests.chaos.matrix import cross


@pytest.mark.timeout(2400)
async def test_death_at_any_failpoint_breaks_no_promise() -> None:
    """SIGKILL before and after each commit, call, git update and sync: every run comes to the end that it was to have."""
    assert await cross(failpoints.NAMES) == []

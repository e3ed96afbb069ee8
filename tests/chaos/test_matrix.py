"""Services that die at each of the places where something becomes true."""

import os

import pytest

from heddle import failpoints
from tests.chaos.matrix import cross


@pytest.mark.skipif(
    os.environ.get("HEDDLE_MATRIX") != "1",
    reason="takes minutes: HEDDLE_MATRIX=1, or python -m tests.chaos.matrix",
)
@pytest.mark.timeout(2400)
async def test_death_at_any_failpoint_breaks_no_promise() -> None:
    """SIGKILL before and after each commit, call, git update and sync: every run comes to the end that it was to have."""
    assert await cross(failpoints.NAMES) == []

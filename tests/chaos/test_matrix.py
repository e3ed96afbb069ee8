"""Services that die at each point where a change takes effect."""

import pytest

from heddle import failpoints
from tests.chaos.matrix import cross


@pytest.mark.timeout(2400)
async def test_death_at_any_failpoint_breaks_no_promise() -> None:
    """After SIGKILL before or after any commit, call, git update or sync, every run ends as expected."""
    assert await cross(failpoints.NAMES) == []

"""Real services that are killed at random moments for a minute."""

import pytest

from tests.chaos.soak import LEAST_KILLS, soak
from tests.support.seed import SEED


@pytest.mark.timeout(400)
async def test_killed_services_break_no_promise() -> None:
    """After SIGKILL or SIGSTOP of any service at any time, every run ends; nothing is lost, doubled or left."""
    figures = await soak(SEED, seconds=50)
    assert figures.violations == [], f"HEDDLE_SEED={SEED}"
    assert figures.kills >= LEAST_KILLS
    assert figures.accepted

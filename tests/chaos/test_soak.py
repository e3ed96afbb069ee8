"""Real services that are killed at random moments for a minute."""

import random

import pytest

from tests.chaos.soak import soak


@pytest.mark.timeout(400)
async def test_killed_services_break_no_promise() -> None:
    """After SIGKILL or SIGSTOP of any service at any time, every run ends; nothing is lost, doubled or left."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"make chaos SEED={seed} MINUTES=1")
    figures = await soak(seed, seconds=50)
    assert figures.violations == [], f"seed {seed}"
    assert figures.kills > 5, f"seed {seed}"
    assert figures.accepted, f"seed {seed}"

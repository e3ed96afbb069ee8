"""A day of many agents, simulated."""

from pathlib import Path

import pytest

from tests.chaos.simulator import simulate
from tests.support.seed import SEED

# Pure processor time: on a busy machine, the usual limit says nothing.
pytestmark = pytest.mark.timeout(900)


def test_a_day_of_600_agents(tmp_path: Path) -> None:
    """3,000 tasks on workers that join, leave and die: every run ends, and no invariant is violated.

    Their work is reviewed, tried several times, kept current and planned again meanwhile.
    """
    figures = simulate(tmp_path, SEED, agents=600)
    assert figures.violations == [], f"HEDDLE_SEED={SEED}"
    # Changed plans have more.
    assert figures.tasks >= 3000
    assert figures.peak > 300, "the day was too quiet to prove anything"
    new = ("rejections", "choices", "changes", "drafts", "holds", "needs")
    assert all(getattr(figures, name) for name in new), f"{figures} lacks one of {new}"


def test_the_same_seed_makes_the_same_day(tmp_path: Path) -> None:
    """Every event of a day is determined by its seed, and another seed gives another day."""
    first, again, other = (simulate(tmp_path, seed, agents=20).digest for seed in (3, 3, 4))
    assert first == again
    assert first != other

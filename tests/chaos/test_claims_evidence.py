"""The check of the claims at a remote reports each kind of broken history, and nothing in an intact one."""

import pytest

from heddle.names import EpicName
from tests.chaos.claims_evidence import Link, wrong

EPIC = EpicName("r", "e")

# One place accepts two commits and is lost after a third that was never recorded; the next continues from the second.
INTACT = [
    Link(1, "one", ""),
    Link(1, "one", "a"),
    Link(1, "one", "b"),
    Link(1, "one", "lost"),
    Link(3, "two", "b"),
    Link(3, "two", "c"),
]


def test_an_intact_history_has_no_violation() -> None:
    """A commit that arrived just before its place was lost, and that the next one sets aside, is no violation."""
    assert list(wrong(EPIC, INTACT, ["a", "b", "c"])) == []


@pytest.mark.parametrize(
    ("chain", "commits", "named"),
    [
        ([*INTACT, Link(1, "one", "d")], ["a", "b", "c"], "went back from generation 3 to 1"),
        ([Link(1, "one", "a"), Link(3, "two", "x")], ["a"], "never recorded"),
        (INTACT, ["a", "b", "c", "d"], "its claims have"),
        (INTACT, ["b", "a", "c"], "its claims have"),
        (
            [Link(1, "one", ""), Link(1, "one", "a"), Link(1, "two", "a"), Link(1, "two", "b"), Link(1, "one", "b")],
            ["a", "b"],
            "after another one had taken its claim",
        ),
    ],
)  # fmt: skip
def test_a_broken_history_is_named(chain: list[Link], commits: list[str], named: str) -> None:
    """A place that extends a claim it has lost, a step back, and a commit that is missing or was never recorded."""
    assert any(named in each for each in wrong(EPIC, chain, commits))

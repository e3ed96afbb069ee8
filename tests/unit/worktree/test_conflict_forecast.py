"""Which pairs of branches need a merge to find conflicts."""

import pytest

from worktree_svc.merges.conflict_forecast import FORECASTS, Changes, RecentResults


def changes(*words: str) -> Changes:
    return Changes.of((word[0], word[1:]) for word in words)


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [
        (["Ma"], ["Mb"], False),
        (["Ma"], ["Ma"], True),
        (["Mdir/a"], ["Mdir/b"], False),
        (["Adir/a"], ["Adir/b"], False),
        (["Aname"], ["Aname/file"], True),
        (["Ddir/a", "Afresh/a"], ["Adir/b"], True),
        (["Ddir/deep/a", "Afresh/a"], ["Adir/b"], True),
        (["Ddir/a", "Afresh/a"], ["Mdir/b"], False),
        ([], ["Ma"], False),
    ],
)
def test_pairs_that_cannot_conflict_are_skipped(one: list[str], other: list[str], *, may: bool) -> None:
    """Common paths, a file named like the other's folder, and moved folders need a merge, both ways."""
    assert changes(*one).may_conflict(changes(*other)) is may
    assert changes(*other).may_conflict(changes(*one)) is may


def test_results_of_ended_runs_are_forgotten() -> None:
    """A result stays known while forecasts use it, and is forgotten after enough forecasts that did not."""
    results = RecentResults[str, int]()
    results.add({"open": 1, "ended": 2})
    for _ in range(2 * FORECASTS):
        assert results.get("open") == 1
        results.end_forecast()
    assert results.get("ended") is None
    assert len(results) == 1

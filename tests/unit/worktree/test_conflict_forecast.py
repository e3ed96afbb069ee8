"""Which pairs of branches have to be merged to find conflicts."""

import pytest

from worktree_svc.merges.conflict_forecast import Changes


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
    """A common path, a file with the name of the other's folder, or a moved folder needs a merge, in both directions."""
    assert changes(*one).may_conflict(changes(*other)) is may
    assert changes(*other).may_conflict(changes(*one)) is may

"""Which pairs of branches need a merge to be judged."""

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
        (["Ddir/a", "Anew/a"], ["Adir/b"], True),
        (["Ddir/deep/a", "Anew/a"], ["Adir/b"], True),
        (["Ddir/a", "Anew/a"], ["Mdir/b"], False),
        ([], ["Ma"], False),
    ],
)
def test_pairs_that_cannot_conflict_are_skipped(one: list[str], other: list[str], *, may: bool) -> None:
    """A common path, a file where the other has a folder, or a folder that was moved away needs a look; both ways."""
    assert changes(*one).may_conflict(changes(*other)) is may
    assert changes(*other).may_conflict(changes(*one)) is may

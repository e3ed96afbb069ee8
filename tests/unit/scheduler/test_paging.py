"""Pages and their tokens."""

import pytest

from heddle.errors import HeddleError
from scheduler_svc.store import paging


def test_token_gives_back_what_it_was_made_of() -> None:
    """A token holds the last entry's place; an empty one is the first page."""
    assert paging.numbers(paging.token(3, 14), 2) == [3, 14]
    assert paging.texts(paging.token("a/b", "é"), 2) == ["a/b", "é"]
    assert paging.numbers("", 2) is None


@pytest.mark.parametrize("made_up", ["rubbish", "🧵", paging.token(1), paging.token("a", "b"), "===="])
def test_made_up_token_is_refused(made_up: str) -> None:
    """A token that no page gave is an invalid field."""
    with pytest.raises(HeddleError, match="page_token"):
        paging.numbers(made_up, 2)


def test_page_size_has_a_default_and_a_limit() -> None:
    """Absent takes the default, too many are cut, a negative number is refused."""
    assert [paging.page_size(asked, 50, 500) for asked in (0, 7, 9999)] == [50, 7, 500]
    with pytest.raises(HeddleError, match="page_size"):
        paging.page_size(-1, 50, 500)

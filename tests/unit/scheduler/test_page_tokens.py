"""Page tokens and page sizes."""

import pytest

from heddle.errors import HeddleError
from scheduler_svc.store.queries import page_tokens


def test_token_gives_back_what_it_was_made_of() -> None:
    """A token contains the position of the last entry; an empty token is the first page."""
    assert page_tokens.numbers(page_tokens.token(3, 14), 2) == [3, 14]
    assert page_tokens.texts(page_tokens.token("a/b", "é"), 2) == ["a/b", "é"]
    assert page_tokens.numbers("", 2) is None


@pytest.mark.parametrize(
    "made_up", ["rubbish", "🧵", page_tokens.token(1), page_tokens.token("a", "b"), "===="]
)
def test_made_up_token_is_refused(made_up: str) -> None:
    """A page token that was never issued is an invalid field."""
    with pytest.raises(HeddleError, match="page_token"):
        page_tokens.numbers(made_up, 2)


def test_page_size_has_a_default_and_a_limit() -> None:
    """An absent size becomes the default, a large one is capped, a negative one is rejected."""
    assert [page_tokens.page_size(asked, 50, 500) for asked in (0, 7, 9999)] == [50, 7, 500]
    with pytest.raises(HeddleError, match="page_size"):
        page_tokens.page_size(-1, 50, 500)

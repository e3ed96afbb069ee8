"""Lists that come in pages."""

from types import SimpleNamespace
from typing import Any

from heddle.rpc.paging import pages


async def test_every_page_is_read_once_from_that_of_the_request() -> None:
    """Each request has the token of the page before it; the page without a token is the last."""
    asked: list[str] = []

    async def call(request: Any) -> Any:
        asked.append(request.page_token)
        return SimpleNamespace(next_page_token={"": "2", "2": "3", "3": ""}[request.page_token])

    assert [page.next_page_token async for page in pages(call, SimpleNamespace(page_token=""))] == [
        "2",
        "3",
        "",
    ]
    assert asked == ["", "2", "3"]
    assert len([page async for page in pages(call, SimpleNamespace(page_token="3"))]) == 1
    assert asked[3:] == ["3"]

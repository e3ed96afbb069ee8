"""Lists that come in pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any


async def pages(call: Callable[[Any], Awaitable[Any]], request: Any) -> AsyncIterator[Any]:
    """Yields the answers to a List request from its page to the last one; sets the request's page_token in between."""
    while True:
        page = await call(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token

"""How much one request may send to the web app."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ui_svc.endpoints.body_limit import BodyLimit

seen: list[int] = []


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    chunks_read = Request(scope, receive).stream()
    while chunk := await anext(chunks_read, b""):
        seen.append(len(chunk))
    await PlainTextResponse(str(sum(seen)))(scope, receive, send)


async def chunks(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b"0123456789"


@pytest.fixture(autouse=True)
def _forget() -> None:
    seen.clear()


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(BodyLimit(count, most=100), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def test_a_body_within_the_limit_is_read() -> None:
    """A body of just the allowed size arrives."""
    async with client() as browser:
        assert (await browser.post("/", content=b"x" * 100)).text == "100"
        seen.clear()
        assert (await browser.post("/", content=chunks(10))).text == "100"


async def test_a_declared_large_body_is_not_read() -> None:
    """A request that declares too much is refused before the app reads any of it."""
    async with client() as browser:
        assert (await browser.post("/", content=b"x" * 101)).status_code == 413
        assert (await browser.post("/", headers={"content-length": "-1"})).status_code == 413
    assert seen == []


async def test_a_body_that_grows_is_cut_off() -> None:
    """A request without a length is refused at the limit, whatever it still sends."""
    async with client() as browser:
        assert (await browser.post("/", content=chunks(1_000))).status_code == 413
    assert sum(seen) <= 100

"""Which requests the web app accepts, by origin and host."""

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from ui_svc.endpoints.headers import SafeHeaders
from ui_svc.endpoints.origin import SameOrigin

ANSWER = PlainTextResponse("ok")


async def ask(app: ASGIApp, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, "/", headers=headers)


@pytest.mark.parametrize(
    ("method", "host", "origin", "status"),
    [
        ("POST", "127.0.0.1:7403", "http://127.0.0.1:7403", 200),
        ("POST", "localhost:7403", "http://localhost:7403", 200),
        ("POST", "127.0.0.1:7403", "http://evil.example", 403),
        ("POST", "127.0.0.1:7403", "http://127.0.0.1:9999", 403),
        ("POST", "127.0.0.1:7403", "null", 403),
        ("POST", "127.0.0.1:7403", None, 200),
        ("GET", "127.0.0.1:7403", "http://evil.example", 200),
        ("GET", "evil.example", None, 403),
        ("GET", "[::1]:7403", None, 200),
        ("GET", "[broken", None, 403),
    ],
)
async def test_other_sites_can_change_nothing(
    method: str, host: str, origin: str | None, status: int
) -> None:
    """A change requires the page's own origin, and every request a host name of this machine."""
    app = SameOrigin(ANSWER, loopback_only=True)
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert (await ask(app, method, **headers)).status_code == status


async def test_other_sites_can_open_no_socket() -> None:
    """Any page can open a socket to any address, so the server refuses other origins."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:7403"), (b"origin", b"http://evil.example")]
    app = SameOrigin(ANSWER, loopback_only=True)
    await app({"type": "websocket", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_public_address_is_known_by_any_name() -> None:
    """Behind an ingress any host name is valid, but the origin must match it."""
    app = SameOrigin(ANSWER, loopback_only=False)
    host = "heddle.example"
    assert (await ask(app, "POST", host=host, origin="https://heddle.example")).status_code == 200
    assert (await ask(app, "POST", host=host, origin="https://evil.example")).status_code == 403


async def test_headers_are_added_but_never_replaced() -> None:
    """A response that has its own policy keeps it."""
    strict = PlainTextResponse("", headers={"content-security-policy": "sandbox"})
    assert (await ask(SafeHeaders(strict))).headers["content-security-policy"] == "sandbox"
    headers = (await ask(SafeHeaders(ANSWER))).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"

"""Rejects requests from other websites, so no page that the operator visits can control agents."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """Rejects sockets and changes that a page of another site requests.

    If the app serves only loopback, a request must also name a loopback host.
    Otherwise a foreign name that resolves to 127.0.0.1 would be accepted.
    """

    def __init__(self, app: ASGIApp, *, loopback_only: bool) -> None:
        self._app = app
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or self._allowed(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            refusal = PlainTextResponse("This request comes from another web site.\n", 403)
            await refusal(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        host = _header(scope["headers"], b"host")
        if self._loopback_only and _hostname(f"//{host}") not in LOOPBACK:
            return False
        if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
            return True
        origin = _header(scope["headers"], b"origin")
        # Programs send no Origin; browsers always send it with sockets and changes.
        return not origin or urlsplit(origin).netloc == host


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""

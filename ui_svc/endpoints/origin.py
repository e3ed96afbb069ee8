"""Rejects requests from other websites, so no page that the operator visits can control agents."""

import re
from collections.abc import Iterable
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

# A service that listens on one of these has no name of its own.
_EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (recognized, not listened on)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_ORIGIN: Final = re.compile(rf"https?://({_HOST.pattern})", re.IGNORECASE)
# Probes of Kubernetes name the address of the pod; the answer tells nothing.
_ANY_NAME: Final = "/healthz"

_OTHER_SITE: Final = "This request comes from another web site.\n"
_OTHER_NAME: Final = (
    "The web app does not answer under this host name. If it is yours, add it to HEDDLE_UI_HOSTS.\n"
)
_MALFORMED: Final = "The Host header of this request is missing or malformed.\n"


def accepted_hosts(listen: str, names: Iterable[str]) -> frozenset[str]:
    """Returns the host names that requests may use: loopback, `names`, and the host of `listen` if it is one host."""
    own = listen.rpartition(":")[0].strip("[]").lower()
    added = {name.strip("[]").lower().removesuffix(".") for name in names}
    return LOOPBACK | added | ({own} - _EVERYWHERE)


class SameOrigin:
    """Rejects requests under a host name that is not in `hosts`, and sockets and changes that another site requests.

    Without the first, a foreign name that its owner resolves to this machine would be this page's own origin.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = LOOPBACK) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            status, message = refusal
            await PlainTextResponse(message, status)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        safe = scope["type"] == "http" and scope["method"] in _SAFE_METHODS
        if safe and scope["path"] == _ANY_NAME:
            return None
        hosts = _headers(scope["headers"], b"host")
        name = _name(hosts[0]) if len(hosts) == 1 else ""
        if not name:
            return 400, _MALFORMED
        if name not in self._hosts:
            return 403, _OTHER_NAME
        # Programs send no Origin; browsers always send it with sockets and changes.
        origins = _headers(scope["headers"], b"origin")
        if safe or not any(origins) or (len(origins) == 1 and is_own(origins[0], hosts[0])):
            return None
        return 403, _OTHER_SITE


def is_own(origin: str | None, host: str) -> bool:
    """Returns whether `origin` is a page of `host`, the value of a request's Host header."""
    found = _ORIGIN.fullmatch(origin or "")
    return found is not None and found[1].lower() == host.lower()


def _headers(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _name(host: str) -> str:
    """Returns the name in a Host header; empty if it is malformed."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower().removesuffix(".") if found else ""

"""Response headers that isolate a page."""

from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The scripts and styles within the page need 'unsafe-inline'.
_POLICY: Final = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline'{eval}; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; "
    "object-src 'none'; "
    "base-uri 'self'; "
    "form-action 'self'; "
    "frame-ancestors 'none'"
)

_HEADERS: Final = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class SafeHeaders:
    """Adds each header to every response that does not already set it.

    `compiling` are the paths of the pages whose scripts may compile code: NiceGUI's own elements are
    templates that Vue compiles in the browser. All other pages are compiled when they are built.
    """

    def __init__(self, app: ASGIApp, compiling: Iterable[str] = ()) -> None:
        self._app = app
        self._compiling = frozenset(compiling)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy = _POLICY.format(eval=" 'unsafe-eval'" if scope.get("path") in self._compiling else "")
        headers = ((b"content-security-policy", policy.encode()), *_HEADERS)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in headers if header[0] not in present),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)

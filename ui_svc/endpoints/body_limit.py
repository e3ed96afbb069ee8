"""Limits what one request can make the web app hold in memory."""

from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heddle.rpc.channels import MAX_MESSAGE_BYTES

_MESSAGE: Final = "The body of this request is larger than the web app accepts.\n"


class BodyLimit:
    """Answers 413 to requests with more than `most` bytes, before it reads further.

    The default is what the scheduler accepts in one message: more could not be passed on.
    """

    def __init__(self, app: ASGIApp, *, most: int = MAX_MESSAGE_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._declared(scope) > self._most:
            await PlainTextResponse(_MESSAGE, 413, {"connection": "close"})(scope, receive, send)
            return
        left = self._most
        started = refused = False

        async def bounded() -> Message:
            nonlocal left, refused
            message = await receive()
            left -= len(message.get("body", b""))
            if left >= 0:
                return message
            if not started and not refused:
                refused = True
                await PlainTextResponse(_MESSAGE, 413, {"connection": "close"})(scope, receive, send)
            return {"type": "http.disconnect"}

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            if not refused:
                await send(message)

        await self._app(scope, bounded, noted)

    def _declared(self, scope: Scope) -> int:
        """Returns the length that the request declares; more than allowed if that is no number."""
        lengths = [value for key, value in scope["headers"] if key == b"content-length"]
        return max((int(each) if each.isdigit() else self._most + 1 for each in lengths), default=0)

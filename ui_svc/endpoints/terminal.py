"""The socket of a terminal: what is typed and shown, as bytes, between a browser and the scheduler.

The socket's cookie only reads, so the first message has the whole token, which the page keeps for its own port. The
scheduler checks it like that of any call, and ends the terminal once it is revoked.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from heddle import pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.errors import HeddleError

# Seconds that the first message may take.
_FIRST: Final = 10.0

# Bytes of typed input in one request; a longer paste is sent in parts.
_PART: Final = 32 << 10

# What a message with a size or the token may be long.
_MOST_TEXT: Final = 4 << 10

# Why a socket is closed: a message is not as it should be; the terminal has ended.
_MALFORMED: Final = 4400
_OVER: Final = 1000


class TerminalCalls:
    """The endpoint of terminals."""

    def __init__(self, connect: Callable[[str], HeddleClient]) -> None:
        self._connect = connect

    def add_to(self, router: APIRouter) -> None:
        """Adds the endpoint."""
        router.websocket("/runs/{run}/epics/{epic}/terminal")(self.open)

    async def open(self, socket: WebSocket, run: str, epic: str) -> None:
        """Serves a terminal until its shell exits, the browser leaves or its session ends."""
        await socket.accept()
        try:
            async with asyncio.timeout(_FIRST):
                first = _message(await socket.receive_text())
            size, token = _size(first), str(first["token"])
        except (TimeoutError, ValueError, KeyError, TypeError):
            await socket.close(_MALFORMED)
            return
        except WebSocketDisconnect:
            return
        async with self._connect(token) as client:
            ended = await _serve(socket, client, f"runs/{run}/epics/{epic}", size)
        if socket.client_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_text(json.dumps({"ended": ended}))
                await socket.close(_OVER)


async def _serve(socket: WebSocket, client: HeddleClient, epic: str, size: pb.TerminalSize) -> str:
    """Relays until either side ends; returns why, empty if the shell has exited or the browser has left."""
    shown = client.open_terminal(epic, size, _typed(socket))
    try:
        async with aclosing(shown):
            async for output in shown:
                await socket.send_bytes(output)
    except HeddleError as error:
        if any(each.field == "name" for each in error.violations):
            return "This epic has no worktree any more. If it was removed, restore it under Manage, Worktrees"
        return error.message
    except ServerUnreachable as error:
        return str(error)
    except (RuntimeError, WebSocketDisconnect):
        # The browser has left while something was shown.
        return ""
    return ""


async def _typed(socket: WebSocket) -> AsyncIterator[bytes | pb.TerminalSize]:
    with suppress(WebSocketDisconnect, RuntimeError, ValueError, KeyError, TypeError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or b""
            for start in range(0, len(data), _PART):
                yield data[start : start + _PART]
            if text := message.get("text"):
                yield _size(_message(text))


def _message(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise ValueError("too long")
    try:
        found: dict[str, Any] = json.loads(text)
    except RecursionError as error:
        raise ValueError("too deep") from error
    return found


def _size(message: dict[str, Any]) -> pb.TerminalSize:
    return pb.TerminalSize(columns=message["columns"], rows=message["rows"])

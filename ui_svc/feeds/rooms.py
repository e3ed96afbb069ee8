"""Rooms of the browser's socket: encodes a message once for all viewers of a room."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from nicegui import core

_NAMESPACE: Final = "/"


def accept_origins(accepts: Callable[[str | None, str], bool]) -> None:
    """Lets the browser's socket answer only origins that `accepts` approves, given Origin and Host.

    NiceGUI accepts every origin, and lets every page read the answers with the operator's credentials.
    """

    def accepted(origin: str | None, environ: Mapping[str, str]) -> bool:
        return accepts(origin, environ.get("HTTP_HOST", ""))

    core.sio.eio.cors_allowed_origins = accepted
    core.sio.eio.cors_credentials = False


def scope_of(socket: str) -> Mapping[str, Any]:
    """Returns the ASGI scope of the request that opened a socket; empty if the socket is closed."""
    environ: Mapping[str, Any] | None = core.sio.get_environ(socket)
    scope: Mapping[str, Any] = environ["asgi.scope"] if environ else {}
    return scope


class Rooms:
    """The viewers of each room. A socket leaves its rooms automatically when it disconnects."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    async def enter(self, socket: str, room: str) -> None:
        await core.sio.enter_room(socket, room)

    async def leave(self, socket: str, room: str) -> None:
        await core.sio.leave_room(socket, room)

    def set_hidden(self, socket: str, *, hidden: bool) -> None:
        """Records whether the socket's browser tab is in the background."""
        if hidden:
            self._hidden.add(socket)
        else:
            self._hidden.discard(socket)

    def occupied(self, room: str) -> bool:
        return next(self._sockets(room), None) is not None

    def watched(self, room: str) -> bool:
        """Returns whether the room is visible in a viewer's foreground tab."""
        return any(socket not in self._hidden for socket in self._sockets(room))

    async def emit(self, event: str, data: dict[str, Any], room: str) -> None:
        await core.sio.emit(event, data, room=room)

    def _sockets(self, room: str) -> Any:
        # get_participants yields pairs of a socket and the ID of its transport.
        return (socket for socket, _ in core.sio.manager.get_participants(_NAMESPACE, room))

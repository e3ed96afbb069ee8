"""Rooms of the browser's socket: encodes a message once for all viewers of a room."""

from typing import Any

from ui_svc.web import nicegui_parts


class Rooms:
    """The viewers of each room. A socket leaves its rooms automatically when it disconnects."""

    def __init__(self) -> None:
        self._hidden: set[str] = set()

    async def enter(self, socket: str, room: str) -> None:
        await nicegui_parts.enter(socket, room)

    async def leave(self, socket: str, room: str) -> None:
        await nicegui_parts.leave(socket, room)

    def set_hidden(self, socket: str, *, hidden: bool) -> None:
        """Records whether the socket's browser tab is in the background."""
        if hidden:
            self._hidden.add(socket)
        else:
            self._hidden.discard(socket)

    def sockets(self, room: str) -> list[str]:
        return list(nicegui_parts.sockets(room))

    def occupied(self, room: str) -> bool:
        return next(nicegui_parts.sockets(room), None) is not None

    def watched(self, room: str) -> bool:
        """Returns whether the room is visible in a viewer's foreground tab."""
        return any(socket not in self._hidden for socket in nicegui_parts.sockets(room))

    async def emit(self, event: str, data: dict[str, Any], room: str | list[str]) -> None:
        await nicegui_parts.emit(event, data, room)

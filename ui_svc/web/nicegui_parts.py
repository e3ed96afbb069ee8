"""The private parts of NiceGUI that the web app uses. No other module touches them.

They may change with any minor version of NiceGUI, which is therefore pinned to one. The browser's side is
src/browser/nicegui.ts.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import nicegui
from jinja2 import Environment, FileSystemLoader
from nicegui import client, core
from nicegui.elements import codemirror

_NAMESPACE: Final = "/"

# The scripts that a page needs: the socket, and the one that connects it with the page's elements.
_SCRIPTS: Final = ("socket.io.min.js", "nicegui.js")

# The import serves the script of the editor: our form loads it and creates no such element.
EDITOR: Final = codemirror.__name__


def scripts() -> dict[str, bytes]:
    """Returns the contents of NiceGUI's scripts, by file name."""
    folder = Path(nicegui.__file__).parent / "static"
    return {name: (folder / name).read_bytes() for name in _SCRIPTS}


def own_template() -> Path:
    """Returns NiceGUI's own page template, which loads Quasar."""
    return Path(nicegui.__file__).parent / "templates" / "index.html"


def page_templates() -> Environment:
    """Returns the environment that renders NiceGUI's pages from `index.html`."""
    environment: Environment = client.templates.env
    return environment


def replace_page(templates: Path, values: Mapping[str, Any]) -> None:
    """Makes NiceGUI render its pages with the `index.html` of a folder, which also gets `values`."""
    environment = page_templates()
    environment.loader = FileSystemLoader(templates)
    environment.globals.update(values)


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


def on(event: str, handler: Callable[[str, Any], Awaitable[Any]]) -> None:
    """Registers the handler of an event of the browser's socket; it gets the socket's ID and the message."""
    core.sio.on(event, handler)


async def enter(socket: str, room: str) -> None:
    """Adds a socket to a room, which it leaves automatically when it disconnects. Idempotent."""
    await core.sio.enter_room(socket, room)


async def leave(socket: str, room: str) -> None:
    """Removes a socket from a room. Idempotent."""
    await core.sio.leave_room(socket, room)


async def emit(event: str, data: dict[str, Any], room: str | list[str]) -> None:
    """Sends a message, encoded once, to every socket in a room, or to each of some sockets."""
    await core.sio.emit(event, data, room=room)


def sockets(room: str) -> Iterator[str]:
    """Returns the IDs of the sockets in a room."""
    # get_participants yields pairs of a socket and the ID of its transport.
    return (socket for socket, _ in core.sio.manager.get_participants(_NAMESPACE, room))

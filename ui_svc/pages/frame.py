"""The shared parts of every page: its frame, script and styles."""

from pathlib import Path
from typing import Final

import nicegui
from fastapi import FastAPI
from jinja2 import FileSystemLoader
from nicegui import client

from ui_svc.web.assets import Assets

_HERE: Final = Path(__file__).resolve().parents[1] / "web"
# What `npm run build` made of src/; it is committed, so that running the web app needs no Node.js.
DIST: Final = _HERE / "dist"
ICON: Final = _HERE / "static" / "icon.svg"

# The NiceGUI scripts that a page needs: the socket, and the script that connects it with our pages.
_FRAMEWORK: Final = ("socket.io.min.js", "nicegui.js")


def install(app: FastAPI) -> None:
    """Serves scripts and styles, and replaces NiceGUI's page template with ours."""
    framework = Path(nicegui.__file__).parent / "static"
    assets = Assets(
        {name: (framework / name).read_bytes() for name in _FRAMEWORK}
        | {path.name: path.read_bytes() for path in sorted(DIST.iterdir())}
    )
    app.include_router(assets.router())
    templates = client.templates.env
    templates.loader = FileSystemLoader(_HERE / "templates")
    templates.globals["assets"] = assets.paths

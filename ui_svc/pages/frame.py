"""The shared parts of every page: its frame, script and styles."""

from pathlib import Path
from typing import Final

import nicegui
from fastapi import FastAPI
from jinja2 import FileSystemLoader
from nicegui import client

from ui_svc.web.assets import Assets
from ui_svc.web.bundle import bundle

# Later sheets build on earlier ones.
SHEETS: Final = (
    "tokens",
    "base",
    "parts",
    "board",
    "session",
    "log",
    "runs",
    "attention",
    "timeline",
    "replay",
    "changes",
    "palette",
    "new_run",
    "report",
    "conflicts",
    "costs",
)

_HERE: Final = Path(__file__).resolve().parents[1] / "web"
MODULES: Final = _HERE / "components" / "modules"
STATIC: Final = _HERE / "static"
ICON: Final = STATIC / "icon.svg"

# The NiceGUI scripts that a page needs: Vue, the socket, and the script that connects them.
_FRAMEWORK: Final = ("vue.esm-browser.prod.js", "socket.io.min.js", "nicegui.js")


def install(app: FastAPI) -> None:
    """Serves scripts and styles, and replaces NiceGUI's page template with ours."""
    framework = Path(nicegui.__file__).parent / "static"
    assets = Assets(
        {name: (framework / name).read_text() for name in _FRAMEWORK}
        | {
            "heddle.js": bundle(modules(), "pages.js"),
            "heddle.css": "\n".join((STATIC / f"{name}.css").read_text() for name in SHEETS),
        }
    )
    app.include_router(assets.router())
    templates = client.templates.env
    templates.loader = FileSystemLoader(_HERE / "templates")
    templates.globals["assets"] = assets.paths


def modules() -> dict[str, str]:
    """Returns the source text of the browser's modules, by file name."""
    return {path.name: path.read_text() for path in sorted(MODULES.glob("*.js"))}

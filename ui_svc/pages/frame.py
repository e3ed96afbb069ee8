"""What every page shares: its frame, the script that draws it, and the design."""

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

# What a page needs of NiceGUI: Vue, the socket, and the script that joins the two.
_FRAMEWORK: Final = ("vue.esm-browser.prod.js", "socket.io.min.js", "nicegui.js")


def install(app: FastAPI) -> None:
    """Serves scripts and design, and makes our page the one into which NiceGUI puts its elements."""
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
    """Returns the texts of the browser's modules by the name of their file."""
    return {path.name: path.read_text() for path in sorted(MODULES.glob("*.js"))}

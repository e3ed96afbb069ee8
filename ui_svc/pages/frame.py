"""The shared parts of every page: its frame, script and styles."""

from pathlib import Path
from typing import Final

from fastapi import FastAPI

from ui_svc.web import nicegui_parts
from ui_svc.web.assets import Assets

_HERE: Final = Path(__file__).resolve().parents[1] / "web"
# What `npm run build` made of src/; it is committed, so that running the web app needs no Node.js.
DIST: Final = _HERE / "dist"
ICON: Final = _HERE / "static" / "icon.svg"


def install(app: FastAPI) -> None:
    """Serves scripts and styles, and replaces NiceGUI's page template with ours."""
    built = {path.name: path.read_bytes() for path in sorted(DIST.iterdir())}
    assets = Assets(nicegui_parts.scripts() | built)
    app.include_router(assets.router())
    nicegui_parts.replace_page(_HERE / "templates", {"assets": assets.paths})

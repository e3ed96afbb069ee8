"""What every page shares: the design, the icon, and the script that picks dark or light before it is seen."""

from pathlib import Path
from typing import Final

import nicegui
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import ui

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

STATIC: Final = Path(__file__).parent / "static"
ICON: Final = STATIC / "icon.svg"

# Runs before the first paint, so that a dark page never flashes light.
_PICK_THEME: Final = """<script>
const kept = localStorage.getItem("heddle-theme");
if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
</script>"""


def install(app: FastAPI) -> None:
    """Serves the design's files and puts them into every page."""
    # It draws a bar for every request that a page makes; the pages say themselves what is pending.
    nicegui.app.config.quasar_config["loadingBar"]["skipHijack"] = True
    app.mount("/static", StaticFiles(directory=STATIC))
    ui.add_head_html(_PICK_THEME, shared=True)
    for name in SHEETS:
        sheet = STATIC / f"{name}.css"
        # The time of its last change keeps an old one from being taken from the browser's cache.
        href = f"/static/{sheet.name}?{sheet.stat().st_mtime_ns:x}"
        ui.add_head_html(f'<link rel="stylesheet" href="{href}">', shared=True)

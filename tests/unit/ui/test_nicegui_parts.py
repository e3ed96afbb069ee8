"""The private parts of NiceGUI are used in one place on each side."""

import re

from tests.unit.repo.files import ROOT

UI = ROOT / "ui_svc"
PUBLIC = re.compile(
    r"^from nicegui import (?:ui|app|Client)(?:, (?:ui|app|Client))*$|^from nicegui\.(?:events|element|elements\.\w+)"
)
NAMES = re.compile(r"\bwindow\.(?:socket|path_prefix|did_handshake)\b|\bVue:")


def test_python_touches_private_parts_in_one_module() -> None:
    """Every other module of the web app imports only NiceGUI's documented names."""
    found = {
        path.relative_to(UI).as_posix()
        for path in UI.rglob("*.py")
        if "node_modules" not in path.parts
        for line in path.read_text().splitlines()
        if re.match(r"\s*(?:from|import) nicegui\b", line) and not PUBLIC.match(line)
    }
    assert found == {"web/nicegui_parts.py"}


def test_the_browser_touches_them_in_one_module() -> None:
    """Every other module of the browser code gets the socket and the path prefix from it."""
    source = UI / "web" / "src"
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.*")
        if path.suffix in {".ts", ".vue"} and NAMES.search(path.read_text())
    }
    assert found == {"browser/nicegui.ts"}

"""The Vue components: each page is one of them, so that updates never pass through Python elements."""

from nicegui import ui
from nicegui.elements import codemirror

# Its script is served from here on: the form for a run loads it, and makes no element of it.
EDITOR = codemirror.__name__


class RunsPage(ui.element, component="runs_page.js", esm={"heddle": "modules"}):
    """The list of runs."""


class NewRunPage(ui.element, component="new_run_page.js", esm={"heddle": "modules"}):
    """A plan in an editor, what will come of it, and the button that starts it."""


class CostsPage(ui.element, component="costs_page.js", esm={"heddle": "modules"}):
    """What everything has cost, level by level and by model."""


class RunPage(ui.element, component="run_page.js", esm={"heddle": "modules"}):
    """One run: its board, with the modal of its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._props["run"] = run


class NotFoundPage(ui.element, component="not_found_page.js", esm={"heddle": "modules"}):
    """What an address that leads nowhere shows."""

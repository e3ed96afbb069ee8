"""The Vue components: each page is one of them, so that updates never pass through Python elements."""

from nicegui import ui


class RunsPage(ui.element, component="runs_page.js", esm={"heddle": "modules"}):
    """The list of runs and the form that starts one."""


class RunPage(ui.element, component="run_page.js", esm={"heddle": "modules"}):
    """One run: its board, with the modal of its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._props["run"] = run


class NotFoundPage(ui.element, component="not_found_page.js", esm={"heddle": "modules"}):
    """What an address that leads nowhere shows."""

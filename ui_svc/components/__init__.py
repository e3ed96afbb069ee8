"""The Vue components: each page is one of them, so that updates never pass through Python elements."""

from nicegui import ui


class RunsPage(ui.element, component="runs_page.js", esm={"heddle": "modules"}):
    """The list of runs and the form that starts one."""


class BoardPage(ui.element, component="board_page.js", esm={"heddle": "modules"}):
    """The board of one run, with the modal of its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__()
        self._props["run"] = run

"""The page of a terminal in the worktree of an epic."""

from nicegui import ui

from ui_svc.web.components import TerminalPage


def install() -> None:
    """Serves the page; whether there may be a terminal is decided when its socket opens."""

    @ui.page("/runs/{run}/epics/{epic}/terminal", title="Heddle")
    def page(run: str, epic: str) -> None:
        TerminalPage(run, epic)

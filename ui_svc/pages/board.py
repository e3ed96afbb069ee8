"""The page of one run: its board, and over it the session that the address names."""

from nicegui import ui

from ui_svc.components import BoardPage


def install() -> None:
    """Serves the board, alone and with an open session."""

    @ui.page("/runs/{run}", title="Heddle")
    @ui.page("/runs/{run}/epics/{epic}/tasks/{task}/attempts/{number}", title="Heddle")
    def page(run: str) -> None:
        # The browser reads the open session from its address: it changes without a new page.
        BoardPage(run)

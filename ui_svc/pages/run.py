"""The page of one run, and over it the session that the address names."""

from nicegui import ui

from ui_svc.web.components import RunPage


def install() -> None:
    """Serves the run in its views, alone and with an open session."""

    @ui.page("/runs/{run}", title="Heddle")
    @ui.page("/runs/{run}/timeline", title="Heddle")
    @ui.page("/runs/{run}/changes", title="Heddle")
    @ui.page("/runs/{run}/conflicts", title="Heddle")
    @ui.page("/runs/{run}/report", title="Heddle")
    @ui.page("/runs/{run}/epics/{epic}/tasks/{task}", title="Heddle")
    @ui.page("/runs/{run}/epics/{epic}/tasks/{task}/attempts/{number}", title="Heddle")
    def page(run: str) -> None:
        # The browser reads view and session from its address: they change without a new page.
        RunPage(run)

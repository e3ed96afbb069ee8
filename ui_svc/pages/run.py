"""The page of one run, with the session that the address names shown on top."""

from nicegui import ui

from ui_svc.web.components import RunPage


def install() -> None:
    """Serves each view of the run, with and without an open session."""

    @ui.page("/runs/{run}", title="Heddle")
    @ui.page("/runs/{run}/timeline", title="Heddle")
    @ui.page("/runs/{run}/changes", title="Heddle")
    @ui.page("/runs/{run}/conflicts", title="Heddle")
    @ui.page("/runs/{run}/report", title="Heddle")
    @ui.page("/runs/{run}/plan", title="Heddle")
    @ui.page("/runs/{run}/epics/{epic}/tasks/{task}", title="Heddle")
    @ui.page("/runs/{run}/epics/{epic}/tasks/{task}/attempts/{number}", title="Heddle")
    def page(run: str) -> None:
        # The browser reads view and session from its address, so they change without a page load.
        RunPage(run)

"""The first page: every run, and a form to start one."""

from nicegui import ui

from ui_svc.components import RunsPage


def install() -> None:
    """Serves the page at /."""

    @ui.page("/", title="Heddle")
    def page() -> None:
        RunsPage()

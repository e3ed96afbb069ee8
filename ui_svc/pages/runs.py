"""The pages for all runs: the list, the form to start a run, and the costs."""

from nicegui import ui

from ui_svc.web.components import CostsPage, NewRunPage, RunsPage


def install() -> None:
    """Serves the pages at /, /new and /costs."""

    @ui.page("/", title="Heddle")
    def runs() -> None:
        RunsPage()

    @ui.page("/new", title="Heddle")
    def new_run() -> None:
        NewRunPage()

    @ui.page("/costs", title="Heddle")
    def costs() -> None:
        CostsPage()

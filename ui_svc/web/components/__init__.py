"""The Vue components: each page is one of them, so that updates never pass through Python elements.

Their tags are those of modules/pages.js.
"""

from nicegui import ui
from nicegui.elements import codemirror

# Its script is served from here on: the form for a run loads it, and makes no element of it.
EDITOR = codemirror.__name__


class RunsPage(ui.element):
    """The list of runs."""

    def __init__(self) -> None:
        super().__init__("heddle-runs")


class NewRunPage(ui.element):
    """A plan in an editor, what will come of it, and the button that starts it."""

    def __init__(self) -> None:
        super().__init__("heddle-new-run")


class CostsPage(ui.element):
    """What everything has cost, level by level and by model."""

    def __init__(self) -> None:
        super().__init__("heddle-costs")


class RunPage(ui.element):
    """One run: its board, with the modal of its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__("heddle-run")
        self._props["run"] = run


class NotFoundPage(ui.element):
    """What an address that leads nowhere shows."""

    def __init__(self) -> None:
        super().__init__("heddle-not-found")

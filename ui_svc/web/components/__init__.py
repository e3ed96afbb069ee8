"""The Vue components: each page is one of them, so that updates never pass through Python elements.

Their tags are those of modules/pages.js.
"""

from nicegui import ui
from nicegui.elements import codemirror

# Importing it serves its script: the form for a run loads the script and creates no element.
EDITOR = codemirror.__name__


class RunsPage(ui.element):
    """The list of runs."""

    def __init__(self) -> None:
        super().__init__("heddle-runs")


class NewRunPage(ui.element):
    """The form for a run: a plan in an editor, its preview, and the button that starts it."""

    def __init__(self) -> None:
        super().__init__("heddle-new-run")


class CostsPage(ui.element):
    """The costs, level by level and by model."""

    def __init__(self) -> None:
        super().__init__("heddle-costs")


class RunPage(ui.element):
    """One run: its board, with the modal of its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__("heddle-run")
        self._props["run"] = run


class NotFoundPage(ui.element):
    """The page of an unknown address."""

    def __init__(self) -> None:
        super().__init__("heddle-not-found")

"""The Vue components: each page is one component, so updates never pass through Python elements.

src/main.ts defines their tags.
"""

from nicegui import ui


class RunsPage(ui.element):
    """The list of runs."""

    def __init__(self) -> None:
        super().__init__("heddle-runs")


class NewRunPage(ui.element):
    """The form for a run: an editor for the plan, its preview, and the button that starts the run."""

    def __init__(self) -> None:
        super().__init__("heddle-new-run")


class CostsPage(ui.element):
    """The costs by level and by model."""

    def __init__(self) -> None:
        super().__init__("heddle-costs")


class RunPage(ui.element):
    """One run: its board, and the modal for its sessions."""

    def __init__(self, run: str) -> None:
        super().__init__("heddle-run")
        self._props["run"] = run


class TerminalPage(ui.element):
    """A terminal in the worktree of an epic."""

    def __init__(self, run: str, epic: str) -> None:
        super().__init__("heddle-terminal")
        self._props["run"] = run
        self._props["epic"] = epic


class NotFoundPage(ui.element):
    """The page of an unknown address."""

    def __init__(self) -> None:
        super().__init__("heddle-not-found")

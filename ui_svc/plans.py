"""A plan file as the form shows it: every mistake with its line, or what it holds."""

from heddle import pb
from heddle.plan import file
from ui_svc.views import View


def read_plan(text: str) -> tuple[pb.Plan | None, View]:
    """Returns the plan, None if it has mistakes; and what to tell about it."""
    loaded = file.parse(text, "plan")
    problems = [{"line": each.line, "field": each.field, "message": each.message} for each in loaded.problems]
    found = {
        "problems": problems,
        "epics": len(loaded.plan.epics),
        "tasks": sum(len(epic.tasks) for epic in loaded.plan.epics),
    }
    return (None if problems else loaded.plan), found

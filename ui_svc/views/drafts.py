"""The view of a draft of a plan for the form that starts runs."""

from collections.abc import Iterable

from heddle import pb
from ui_svc.views.resources import run
from ui_svc.views.values import View


def draft(message: pb.Draft, of_run: pb.Run) -> View:
    """Returns a draft with its run; `text` is empty until something was handed over."""
    view = run(of_run)
    return {
        "run": {key: view[key] for key in ("name", "title", "state", "reason", "project", "tasks", "usage")},
        "text": message.text,
        "valid": message.HasField("plan"),
        "reasons": message.reasons,
        "problems": _remarks(message.problems),
        "warnings": _remarks(message.warnings),
        "handovers": message.handovers,
        "revises": message.revises.run,
        "revision": message.revision,
        "skip_failed_of": message.skip_failed_of,
    }


def _remarks(found: Iterable[pb.PlanRemark]) -> list[View]:
    return [
        {"line": each.line, "column": each.column, "field": each.field, "message": each.message}
        for each in found
    ]

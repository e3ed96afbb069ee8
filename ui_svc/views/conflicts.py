"""The views of the conflict forecast and the merge queue."""

from heddle import pb
from ui_svc.views.values import View, time, word


def conflicts(message: pb.GetConflictsResponse) -> View:
    """Returns predicted conflicts, paths outside the plan, and the queue.

    `looked` is None before the first forecast.
    """
    forecast = message.forecast
    return {
        "looked": time(forecast, "look_time"),
        "upstream": forecast.upstream,
        "conflicts": [
            {
                "epic": each.epic,
                "side": word(pb.ConflictSide.DESCRIPTOR, each.side),
                "with_epic": each.with_epic,
                "files": list(each.files),
                "first_task": each.first_task,
                "since": time(each, "since"),
            }
            for each in forecast.conflicts
        ],
        "footprints": [{"epic": each.epic, "outside": list(each.outside)} for each in forecast.footprints],
        "queue": [
            {
                "epic": each.epic,
                "stage": word(pb.MergeStage.DESCRIPTOR, each.stage),
                "target_branch": each.target_branch,
                "waits_for": each.waits_for,
                "commit": each.commit,
                "conflict": _conflict(each.conflict) if each.HasField("conflict") else None,
            }
            for each in message.queue
        ],
    }


def _conflict(message: pb.MergeConflicted) -> View:
    """Returns the conflict that prevents a branch's merge, and how to resolve it by hand."""
    return {
        "files": list(message.files),
        "advice": message.advice,
        "hunks": [{"file": each.file, "line": each.line, "text": each.text} for each in message.hunks],
        "checks": [{"name": each.name, "output": each.output} for each in message.failed_checks],
    }

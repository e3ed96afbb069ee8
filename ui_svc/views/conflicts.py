"""What the radar saw, and the merge queue."""

from heddle import pb
from ui_svc.views.values import View, time, word


def conflicts(message: pb.GetConflictsResponse) -> View:
    """Returns the predicted conflicts, what each epic wrote outside its plan, and the queue; `looked` None: never."""
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
            }
            for each in message.queue
        ],
    }

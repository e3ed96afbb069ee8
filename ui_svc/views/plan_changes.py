"""The view of the difference between two plans of a run."""

from heddle import pb
from ui_svc.views.values import View, word


def change(message: pb.PlanChange) -> View:
    """Returns one change; `refusal` says why it cannot be applied, and is empty if it can be."""
    return {
        "kind": word(pb.PlanChangeKind.DESCRIPTOR, message.kind),
        "epic": message.epic,
        "task": message.task,
        "fields": [
            {
                "field": each.field,
                "before": each.before if each.HasField("before") else None,
                "after": each.after if each.HasField("after") else None,
            }
            for each in message.fields
        ],
        "refusal": message.refusal,
    }

"""The view of the costs of projects, runs, epics, tasks and sessions."""

from heddle import pb
from ui_svc.views.values import View, time, usage


def cost(message: pb.Cost) -> View:
    """Returns one line of costs with its usage by model; `budget` is None if there is no limit."""
    return {
        "name": message.name,
        "title": message.title,
        "usage": usage(message.usage),
        "budget": message.budget_usd_micros if message.HasField("budget_usd_micros") else None,
        "reserved": message.reserved_usd_micros,
        "started": time(message, "start_time"),
        "agent": message.agent,
        "project": message.project,
    }

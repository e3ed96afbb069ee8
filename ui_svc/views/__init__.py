"""Converts messages to small plain values for the browser, ready for JSON.

Times are milliseconds since 1970, durations are seconds, and money is millionths of a
US dollar. Enums are lower-case words. An absent value is None or omitted.
"""

from ui_svc.views.checks import check, whole_check
from ui_svc.views.conflicts import conflict_part, conflicts, epic_conflict
from ui_svc.views.costs import cost
from ui_svc.views.events import TARGET_CHARACTERS, approval, event, tool, turn
from ui_svc.views.resources import (
    attempt,
    epic,
    forecast,
    hold,
    listed_run,
    run,
    summary,
    task,
    whole_attempt,
    whole_task,
    worker,
)
from ui_svc.views.values import View, counts, diff_stat, payload, seconds, time, usage, word

__all__ = [
    "TARGET_CHARACTERS",
    "View",
    "approval",
    "attempt",
    "check",
    "conflict_part",
    "conflicts",
    "cost",
    "counts",
    "diff_stat",
    "epic",
    "epic_conflict",
    "event",
    "forecast",
    "hold",
    "listed_run",
    "payload",
    "run",
    "seconds",
    "summary",
    "task",
    "time",
    "tool",
    "turn",
    "usage",
    "whole_attempt",
    "whole_check",
    "whole_task",
    "word",
    "worker",
]

"""What waits for a human: open questions, and what failed lately, over all runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from heddle import pb
from heddle.names import AttemptName
from ui_svc import views
from ui_svc.views import View

# Hours after which a failure is history.
RECENT_HOURS: Final = 24

_CALM: Final = frozenset({pb.RUN_STATE_CANCELLED, pb.RUN_STATE_CANCELLING})


@dataclass
class RunParts:
    """A run with its epics and tasks: for their titles, and for what failed."""

    run: pb.Run
    epics: dict[str, pb.Epic] = field(default_factory=dict)
    tasks: dict[str, pb.Task] = field(default_factory=dict)


def may_have_failures(run: pb.Run, now: float) -> bool:
    """Says whether something of the run failed lately that its operator did not end; `now` in seconds."""
    recent = not run.HasField("end_time") or run.end_time.seconds > now - RECENT_HOURS * 3600
    return recent and run.state not in _CALM and (run.tasks.failed > 0 or run.state == pb.RUN_STATE_FAILED)


def question(approval: pb.Approval, parts: RunParts | None) -> View:
    """Returns what a session asks, as an item."""
    name = AttemptName.parse(approval.attempt)
    return {
        "key": f"{approval.attempt}:{approval.approval_id}",
        "kind": "question",
        **_place(name, parts),
        "attempt": approval.attempt,
        "id": approval.approval_id,
        "question": approval.question,
        "tool": approval.tool,
        "target": approval.target[: views.TARGET_CHARACTERS],
        "time": views.time(approval, "request_time"),
        "deny": views.time(approval, "deny_time"),
    }


def failures(parts: RunParts, now: float) -> Iterable[View]:
    """Yields the run's tasks that failed lately by themselves; where none did, the run that failed otherwise."""
    failed = [task for task in parts.tasks.values() if task.state == pb.TASK_STATE_FAILED]
    for task in failed:
        attempt = task.latest_attempt
        lately = attempt.end_time.seconds > now - RECENT_HOURS * 3600
        if lately and attempt.state != pb.ATTEMPT_STATE_STOPPED:
            yield {
                "key": attempt.name,
                "kind": "task",
                **_place(AttemptName.parse(attempt.name), parts),
                "attempt": attempt.name,
                "task": task.name,
                "reason": task.reason or attempt.reason,
                "time": views.time(attempt, "end_time"),
            }
    run = parts.run
    if run.state == pb.RUN_STATE_FAILED and not failed:
        yield {
            "key": run.name,
            "kind": "run",
            "run": run.name,
            "run_title": run.title,
            "title": run.title,
            "reason": run.reason,
            "time": views.time(run, "end_time"),
        }


def oldest_first(items: Iterable[View]) -> list[View]:
    """Questions come before failures: an agent waits for them."""
    return sorted(items, key=lambda item: (item["kind"] != "question", item["time"] or 0, item["key"]))


def _place(name: AttemptName, parts: RunParts | None) -> View:
    """Returns the titles of what an attempt belongs to, or the keys where those are not known."""
    task = parts.tasks.get(str(name.parent)) if parts else None
    epic = parts.epics.get(str(name.parent.parent)) if parts else None
    return {
        "run": str(name.parent.parent.parent),
        "run_title": parts.run.title if parts else name.run,
        "epic_title": epic.title if epic else name.epic,
        "title": task.title if task else name.task,
    }

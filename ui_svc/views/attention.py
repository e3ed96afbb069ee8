"""The items of all runs that wait for a human.

These are open questions, used-up budgets, refused logins, conflicts, and recent failures or tasks without
changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from heddle import operator_queue, pb
from heddle.names import AttemptName, RunName
from ui_svc import views
from ui_svc.views import View

# Kinds that block work until a human answers.
WAITING: Final = frozenset({"question", "budget", "environment", "provider", "held", "merge", "sync"})

# The most tasks that one item names.
MOST_NAMED: Final = 5


@dataclass
class RunParts:
    """A run with its epics and tasks, for their titles and failures."""

    run: pb.Run
    epics: dict[str, pb.Epic] = field(default_factory=dict)
    tasks: dict[str, pb.Task] = field(default_factory=dict)


def halt(run: pb.Run, reached: pb.Event | None) -> View:
    """Returns the item for a run that a budget paused; `reached` is the newest budget event, if known."""
    of = _part(reached) if reached else run.name
    budget = reached.budget_reached if reached else pb.BudgetReached()
    return {
        "key": f"{run.name}:budget:{reached.sequence if reached else run.sequence}",
        **_kind("budget"),
        **_whole(run),
        "reason": run.reason,
        # The web app cannot change a budget of a project or of an unknown kind.
        "of": of if budget.level != pb.BUDGET_LEVEL_PROJECT else "",
        "budget": budget.budget_usd_micros,
        "spent": budget.spent_usd_micros,
        "time": views.time(reached, "time") if reached else views.time(run, "start_time"),
    }


def over_budget(run: pb.Run, epic: pb.Epic) -> View:
    """Returns the item for an epic that a used-up budget keeps from continuing, while its run goes on."""
    hold = epic.budget_hold
    return {
        "key": f"{hold.name}:budget:{hold.budget_usd_micros}",
        **_kind("budget"),
        **_of_epic(run, epic),
        "reason": hold.reason,
        "of": hold.name,
        "budget": hold.budget_usd_micros,
        "spent": hold.spent_usd_micros,
        "time": views.time(epic, "start_time"),
    }


def lack(run: pb.Run) -> View:
    """Returns the item for a run that waits for its environment, or whose branches the remote refused."""
    kind = "environment" if run.fault else "push"
    return {
        "key": f"{run.name}:{kind}:{operator_queue.lacks(run)}",
        **_kind(kind),
        **_whole(run),
        "reason": operator_queue.lacks(run),
        "time": views.time(run, "end_time") or views.time(run, "start_time"),
    }


def refusal(run: pb.Run) -> View:
    """Returns the item for a run that was paused because a provider refused it."""
    return {
        "key": f"{run.name}:provider:{run.sequence}",
        **_kind("provider"),
        **_whole(run),
        "reason": run.reason,
        "provider": run.held_by,
        "time": views.time(run, "start_time") or views.time(run, "create_time"),
    }


def held(run: pb.Run) -> View:
    """Returns the item for a run whose merge into the user's branch is waiting."""
    return {
        "key": f"{run.name}:held:{run.merge_hold}",
        **_kind("held"),
        **_whole(run),
        "reason": run.merge_hold,
        "time": views.time(run, "start_time"),
    }


def conflicts(run: pb.Run, epics: Iterable[pb.Epic]) -> Iterable[View]:
    """Yields the run's epics that wait for the operator: for a merge, planned or after a conflict, or a budget."""
    for epic in filter(operator_queue.awaits_operator, epics):
        if operator_queue.is_over_budget(epic):
            # A paused run has its own item, which names the budget too.
            if not operator_queue.is_halted(run):
                yield over_budget(run, epic)
            continue
        kind = _kind_of(epic)
        yield {
            "key": f"{epic.name}:{kind}:{epic.head_commit}{epic.sync.conflict_commit}",
            **_kind(kind),
            **_of_epic(run, epic),
            "reason": operator_queue.merge_reason(epic),
            "saved": epic.branch if kind == "conflict" else "",
            "time": views.time(epic, "end_time") or views.time(epic, "start_time"),
        }


def _kind_of(epic: pb.Epic) -> str:
    if operator_queue.is_held(epic):
        return "held"
    if operator_queue.is_out_of_sync(epic):
        return "sync"
    return "merge" if operator_queue.awaits_merge(epic) else "conflict"


def may_have_failures(run: pb.Run, now: float) -> bool:
    """Returns whether a part of the run failed recently without the operator's action; `now` is in seconds."""
    failed = run.tasks.failed > 0 or run.state == pb.RUN_STATE_FAILED
    return failed and operator_queue.is_recent(run, now)


def question(approval: pb.Approval, parts: RunParts | None) -> View:
    """Returns the item for a session's question."""
    name = AttemptName.parse(approval.attempt)
    return {
        "key": f"{approval.attempt}:{approval.approval_id}",
        **_kind("question"),
        **_place(name, parts),
        "attempt": approval.attempt,
        "id": approval.approval_id,
        "question": approval.question,
        "tool": approval.tool,
        "target": approval.target[: views.TARGET_CHARACTERS],
        "time": views.time(approval, "request_time"),
        "deny": views.time(approval, "deny_time"),
    }


def failures(parts: RunParts, now: float, *, told: bool = False) -> Iterable[View]:
    """Yields the tasks that failed recently and were not stopped; if no task failed, yields the failed run.

    `told`: other items already show why the run failed.
    """
    failed = [task for task in parts.tasks.values() if task.state == pb.TASK_STATE_FAILED]
    for task in failed:
        attempt = task.latest_attempt
        lately = attempt.end_time.seconds > now - operator_queue.RECENT_HOURS * 3600
        if lately and attempt.state != pb.ATTEMPT_STATE_STOPPED:
            yield {
                "key": attempt.name,
                **_kind("task"),
                **_place(AttemptName.parse(attempt.name), parts),
                "attempt": attempt.name,
                "task": task.name,
                "reason": task.reason or attempt.reason,
                "time": views.time(attempt, "end_time"),
            }
    run = parts.run
    if run.state == pb.RUN_STATE_FAILED and not failed and not told:
        yield {
            "key": run.name,
            **_kind("run"),
            **_whole(run),
            "reason": run.reason,
            "time": views.time(run, "end_time"),
        }


def may_have_unchanged(run: pb.Run, now: float) -> bool:
    """Returns whether a task was accepted without a change although its plan does not expect that."""
    return run.tasks.unchanged > 0 and operator_queue.is_recent(run, now)


def unchanged(parts: RunParts) -> Iterable[View]:
    """Yields one item for all accepted tasks without changes, unless their plan states what to expect."""
    found = [
        task
        for task in parts.tasks.values()
        if task.state == pb.TASK_STATE_ACCEPTED
        and task.latest_attempt.no_changes
        and task.expect == pb.EXPECT_UNSPECIFIED
    ]
    if not found:
        return
    newest = max(found, key=lambda task: task.latest_attempt.end_time.ToNanoseconds())
    named = ", ".join(task.title for task in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    yield {
        # The key includes the task, so another such task of the run makes a new item.
        "key": f"{parts.run.name}:unchanged:{newest.latest_attempt.name}",
        **_kind("unchanged"),
        "run": parts.run.name,
        "run_title": parts.run.title,
        "title": parts.run.title if len(found) > 1 else found[0].title,
        "reason": f"{named}{more}. Say expect: changes, nothing or any in the plan",
        **({"attempt": found[0].latest_attempt.name} if len(found) == 1 else {}),
        "time": views.time(newest.latest_attempt, "end_time"),
    }


def oldest_first(items: Iterable[View]) -> list[View]:
    """Sorts items by age; items that block work come before failures."""
    return sorted(items, key=lambda item: (not item["waits"], item["time"] or 0, item["key"]))


def _kind(kind: str) -> View:
    """Returns an item's kind, and whether it waits: such an item comes first and cannot be dismissed."""
    return {"kind": kind, "waits": kind in WAITING}


def _part(event: pb.Event) -> str:
    name = RunName.parse(event.run)
    if not event.epic:
        return str(name)
    return str(name.epic(event.epic).task(event.task) if event.task else name.epic(event.epic))


def _whole(run: pb.Run) -> View:
    """Returns which run an item is about, for an item about the whole run."""
    return {"run": run.name, "run_title": run.title, "title": run.title}


def _of_epic(run: pb.Run, epic: pb.Epic) -> View:
    """Returns which epic an item is about, for an item about the whole epic."""
    return {
        "run": run.name,
        "run_title": run.title,
        "epic": epic.name,
        "title": epic.title or epic.key,
    }


def _place(name: AttemptName, parts: RunParts | None) -> View:
    """Returns the titles of an attempt's task, epic and run, or their keys if the titles are not known."""
    task = parts.tasks.get(str(name.parent)) if parts else None
    epic = parts.epics.get(str(name.parent.parent)) if parts else None
    return {
        "run": str(name.parent.parent.parent),
        "run_title": parts.run.title if parts else name.run,
        "epic_title": epic.title if epic else name.epic,
        "title": task.title if task else name.task,
    }

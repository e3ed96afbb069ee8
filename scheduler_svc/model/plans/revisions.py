"""Whether a plan that an agent changed can be applied, and whether anything is left to change. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from heddle import pb
from heddle.errors import Violation
from scheduler_svc.model.plans.plan_difference import EpicProgress, Progress, title_of

_VERBS: Final = {
    pb.PLAN_CHANGE_KIND_ADDED: "added",
    pb.PLAN_CHANGE_KIND_MOVED: "moved",
    pb.PLAN_CHANGE_KIND_REMOVED: "removed; it must stay in the plan as it is",
}


def violations(
    asked: pb.PlanRevision, before: pb.Plan, after: pb.Plan, changes: Sequence[pb.PlanChange]
) -> Iterator[Violation]:
    """Yields why a changed plan cannot be used: it changes what has started, or not what was asked for."""
    if not changes:
        yield Violation("epics", "the plan does not differ from the current one")
    elif asked.kind == pb.PLAN_REVISION_KIND_SPLIT and len(after.epics) <= len(before.epics):
        message = f"the plan has no more epics than before, so epic {asked.epic} is not split"
        yield Violation("epics", message)
    for each in changes:
        if each.refusal:
            verb = _VERBS.get(each.kind, "changed")
            yield Violation(_path(after, each), f"{title_of(each)} cannot be {verb}: {each.refusal}")


def is_left(
    asked: pb.PlanRevision, progress: Progress, tasks: Mapping[tuple[str, str], "pb.TaskState.ValueType"]
) -> bool:
    """Returns whether there is something to split, or to plan again.

    `tasks` has the states of the run's tasks by epic and task. `progress` is that after failed tasks are skipped.
    """
    epics = {key: each for key, each in progress.epics.items() if asked.epic in {"", key}}
    if any(_unstarted(each) for each in epics.values()):
        return True
    failed = (epic for (epic, _), state in tasks.items() if state == pb.TASK_STATE_FAILED)
    return asked.kind == pb.PLAN_REVISION_KIND_REST and any(epic in epics for epic in failed)


def _unstarted(epic: EpicProgress) -> bool:
    return any(not locked for locked in epic.tasks.values())


def _path(plan: pb.Plan, change: pb.PlanChange) -> str:
    """Returns where a change is in the new plan; "epics" if it is about something that is not there."""
    for place, epic in enumerate(plan.epics):
        if epic.key != change.epic:
            continue
        path = f"epics[{place}]"
        tasks = [number for number, task in enumerate(epic.tasks) if task.key == change.task]
        return f"{path}.tasks[{tasks[0]}]" if tasks else path
    return "epics"

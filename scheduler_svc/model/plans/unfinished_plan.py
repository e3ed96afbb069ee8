"""The part of a plan that a run has not finished, as the plan of another run. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from heddle import pb


class Finished(NamedTuple):
    """What need not run again, by key."""

    # Epics whose accepted work is part of the result, or that the operator dropped.
    epics: Collection[str]
    # Pairs of epic and task: accepted, or skipped by the operator.
    tasks: Collection[tuple[str, str]]


def unfinished(plan: pb.Plan, finished: Finished) -> pb.Plan:
    """Returns the plan without what is finished; without epics if all of it is.

    An epic that is not part of the result runs again as a whole, because its tasks build on each other.
    """
    left = pb.Plan()
    left.CopyFrom(plan)
    del left.epics[:]
    for epic in plan.epics:
        again = [
            task
            for task in epic.tasks
            if epic.key not in finished.epics or (epic.key, task.key) not in finished.tasks
        ]
        if again:
            kept = left.epics.add()
            kept.CopyFrom(epic)
            del kept.tasks[:]
            kept.tasks.extend(again)
    known = {epic.key for epic in left.epics}
    for epic in left.epics:
        epic.depends_on[:] = [key for key in epic.depends_on if key in known]
    return left

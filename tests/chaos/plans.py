"""What the plans of the chaos tests have in common."""

from google.protobuf.duration_pb2 import Duration

from heddle import pb


def task_defaults(agent: str, retries: int | None = None) -> pb.TaskDefaults:
    """Returns the defaults of a plan whose agents leave endless processes: these are ended at once."""
    return pb.TaskDefaults(agent=agent, retries=retries, background_wait=Duration(nanos=50_000_000))


def grafted(current: pb.Plan, drawn: pb.Plan, started: set[str]) -> pb.Plan:
    """Returns a plan with the epics of `drawn`, except that those that have `started` only get more tasks."""
    plan = pb.Plan()
    plan.CopyFrom(drawn)
    new = {epic.key: epic for epic in drawn.epics}
    del plan.epics[:]
    for epic in current.epics:
        if epic.key not in started:
            continue
        kept = plan.epics.add()
        kept.CopyFrom(epic)
        keys = {task.key for task in epic.tasks}
        for task in new[epic.key].tasks if epic.key in new else ():
            if f"{task.key}x" not in keys:
                kept.tasks.add(key=f"{task.key}x", prompt="More", priority=4)
    known = {epic.key for epic in plan.epics}
    for epic in drawn.epics:
        if epic.key not in known:
            plan.epics.add().CopyFrom(epic)
    known = {epic.key for epic in plan.epics}
    for epic in plan.epics:
        epic.depends_on[:] = [key for key in epic.depends_on if key in known]
    tasks = {f"{epic.key}/{task.key}" for epic in plan.epics for task in epic.tasks}
    for epic in plan.epics:
        for task in epic.tasks:
            task.needs[:] = [name for name in task.needs if name in tasks]
    return plan

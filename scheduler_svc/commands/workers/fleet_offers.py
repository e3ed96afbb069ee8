"""What the workers offer to the epics of a project."""

from collections.abc import Iterator
from contextlib import suppress

from heddle import pb, urls
from heddle.errors import HeddleError, Violation
from scheduler_svc.pools.workers import Workers


def programs_for(workers: Workers, project: str, worker: str) -> list[pb.AgentProgram]:
    """Returns the agents that a run on a worker can use: epics of a project by URL use all workers.

    Raises NO_WORKER if a project by path is on a worker that is not in the fleet.
    """
    if not urls.is_url(project):
        return list(workers.get(worker).state.agents)
    found: dict[str, pb.AgentProgram] = {}
    with suppress(HeddleError):
        found = {each.name: each for each in workers.get(worker).state.agents}
    for other in workers.list():
        for program in other.agents if other.connected else ():
            if program.name not in found or (program.available and not found[program.name].available):
                found[program.name] = program
    if workers.pool:
        # Which of them a place has is decided by its image, which no one knows before it runs.
        return [_available(program) for program in found.values()]
    return list(found.values())


def _available(program: pb.AgentProgram) -> pb.AgentProgram:
    known = pb.AgentProgram()
    known.CopyFrom(program)
    known.available, known.detail = True, ""
    return known


def unplaceable(plan: pb.Plan, project: str) -> Iterator[Violation]:
    """Yields the epics that ask for a place although they stay on the worker of their run."""
    if urls.is_url(project):
        return
    parts: dict[str, pb.Plan | pb.PlanEpic] = {
        "": plan,
        **{f"epics[{index}].": epic for index, epic in enumerate(plan.epics)},
    }
    for prefix, part in parts.items():
        if part.place:
            yield Violation(
                f"{prefix}place",
                f"needs a project by URL: {project} is a path, and its epics stay on one worker",
            )


def remark(plan: pb.Plan, project: str, *, has_pods: bool) -> str:
    """Returns what of a plan has no effect, and why; empty if all of it has."""
    asking = [epic.key for epic in plan.epics if epic.resources or plan.resources]
    if not asking or (has_pods and urls.is_url(project)):
        return ""
    why = "epics of a project by path stay on one worker" if has_pods else "this installation makes no pods"
    named = ", ".join(asking[:5]) + (", …" if len(asking) > 5 else "")
    return f"the `resources` of {named} are ignored: {why}, so sessions have what their worker has"

"""What the workers offer to the epics of a project."""

from collections.abc import Iterator
from contextlib import suppress

from heddle import pb
from heddle.errors import HeddleError, Violation
from scheduler_svc.model.home import Home
from scheduler_svc.pools.workers import Workers


def programs_for(workers: Workers, home: Home) -> list[pb.AgentProgram]:
    """Returns the agents that a run can use: epics with a place use all workers.

    Raises NO_WORKER if its epics have none, and its worker is not in the fleet.
    """
    if not home.placed:
        return list(workers.get(home.worker).state.agents)
    found: dict[str, pb.AgentProgram] = {}
    with suppress(HeddleError):
        found = {each.name: each for each in workers.get(home.worker).state.agents}
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


def unplaceable(plan: pb.Plan, home: Home, why: str = "") -> Iterator[Violation]:
    """Yields the epics that ask for a place although they stay on the worker of their run, and `why` if that is known."""
    if home.placed:
        return
    why = why or "its worker does not serve it to others (HEDDLE_GIT_LISTEN)"
    parts: dict[str, pb.Plan | pb.PlanEpic] = {
        "": plan,
        **{f"epics[{index}].": epic for index, epic in enumerate(plan.epics)},
    }
    for prefix, part in parts.items():
        if part.place:
            yield Violation(
                f"{prefix}place",
                f"needs a project whose epics can be on any worker: {home.project} is a path, and {why}",
            )


def remark(plan: pb.Plan, home: Home, not_served: str, *, has_pods: bool) -> str:
    """Returns what of a plan has no effect, and why its epics cannot use all workers; empty if there is nothing to say.

    `not_served` is why the worker of a project by path does not serve it; empty: it does, or serves none.
    """
    stay = f"all epics stay on {home.worker}, which cannot serve the project to other workers: {not_served}"
    return "; ".join(filter(None, (_ignored(plan, home, has_pods=has_pods), not_served and stay)))


def _ignored(plan: pb.Plan, home: Home, *, has_pods: bool) -> str:
    asking = [epic.key for epic in plan.epics if epic.resources or plan.resources]
    if not asking or (has_pods and home.placed):
        return ""
    why = "its epics stay on the worker of their run" if has_pods else "this installation makes no pods"
    named = ", ".join(asking[:5]) + (", …" if len(asking) > 5 else "")
    return f"the `resources` of {named} are ignored: {why}, so sessions have what their worker has"

"""Says what is wrong with a plan that an agent handed over, and what could be better. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from heddle import pb
from heddle.drafts.handover import Handover
from heddle.drafts.prompt import NO_REVISION
from heddle.errors import Violation
from heddle.plan import file
from heddle.plan.graphs import analysis
from heddle.plan.rules import SCRIPTED
from heddle.plan.yaml.source import Node, Place, Source, parse_path

# Its text and its plan are sent in one gRPC message, which is limited to 4 MiB.
MAX_PLAN_BYTES: Final = 1 << 20

# Below this many agents at work on average, a plan of several tasks is a chain.
_ALONE: Final = 1.2
_MOST_REMARKS: Final = 100
# Patterns that cover every command.
_EVERYTHING: Final = frozenset({"Bash", "Bash(*)", "Bash(:*)", "*"})
_MOST_WORDS: Final = 20_000


@dataclass(frozen=True)
class Circumstances:
    """What a plan is judged by, besides itself."""

    # Returns why no worker can start an agent; empty if one can.
    agent_problem: Callable[[str], str]
    # The agent to propose to a plan that names none.
    proposed_agent: str
    # How many sessions can run at the same time.
    slots: int
    # True: tasks without checks get those of the project file.
    project_checks: bool = False
    # The plan that it changes. None: it is a new plan.
    before: pb.Plan | None = None


def judge(handover: Handover, circumstances: Circumstances) -> pb.Draft:
    """Returns the draft, without the fields that say where it comes from. It has a plan only without problems."""
    if len(handover.plans) != 1 or handover.cut_off:
        text = handover.plans[-1] if handover.plans else _words(handover.reasons)
        remark = pb.PlanRemark(message=_no_plan(handover, revises=circumstances.before is not None))
        return pb.Draft(text=text, problems=[remark], reasons=_words(handover.reasons))
    (text,) = handover.plans
    if (size := len(text.encode())) > MAX_PLAN_BYTES:
        limit = f"the plan is {size:,} bytes; at most {MAX_PLAN_BYTES:,} are allowed in a draft"
        start = text.encode()[:MAX_PLAN_BYTES].decode(errors="ignore")
        return pb.Draft(text=start, problems=[pb.PlanRemark(message=limit)], reasons=_words(handover.reasons))
    loaded = file.parse(text, "the plan")
    draft = pb.Draft(text=text, reasons=_words(handover.reasons))
    draft.problems.extend(
        pb.PlanRemark(line=each.line, column=each.column, field=each.field, message=each.message)
        for each in loaded.problems[:_MOST_REMARKS]
    )
    if draft.problems:
        return draft
    draft.problems.extend(placed(text, list(_agents(loaded.plan, circumstances))))
    draft.warnings.extend(placed(text, _new_advice(loaded.plan, circumstances)))
    if not draft.problems:
        draft.plan.CopyFrom(loaded.plan)
    return draft


def _new_advice(plan: pb.Plan, circumstances: Circumstances) -> list[Violation]:
    """Returns what could be better, except what the plan that it changes has as well."""
    found = list(advice(plan, circumstances))
    if circumstances.before is None:
        return found
    known = {each.description for each in advice(circumstances.before, replace(circumstances, before=None))}
    return [each for each in found if each.description not in known]


def advice(plan: pb.Plan, circumstances: Circumstances) -> Iterator[Violation]:
    """Yields what could be better about a valid plan."""
    places = {epic.key: f"epics[{place}]" for place, epic in enumerate(plan.epics)}
    for each in analysis.overlaps(plan):
        message = (
            f"epics {each.epic} ({each.glob}) and {each.other} ({each.other_glob}) may write the same files at the same"
            " time; give them different files, make them one epic, or let one depend on the other"
        )
        yield Violation(f"{places[each.other]}.touches", message)
    if len(plan.epics) > 1:
        for key in (epic.key for epic in plan.epics if not epic.touches):
            message = f"epic {key} has no `touches`, so conflicts with other epics cannot be predicted"
            yield Violation(places[key], message)
    yield from _unchecked(plan, circumstances)
    missing = _unestimated(plan)
    if missing > (_unestimated(circumstances.before) if circumstances.before else 0):
        yield Violation("epics", f"{missing} of {_tasks(plan)} tasks have no `estimate`")
    yield from _idle(plan, circumstances.slots)
    yield from _unlimited(plan)


def _unlimited(plan: pb.Plan) -> Iterator[Violation]:
    """Yields the permissions with which agents may run any command: a person should not start that unseen."""
    parts: list[tuple[str, pb.Permissions]] = [("defaults.permissions", plan.defaults.permissions)]
    for index, epic in enumerate(plan.epics):
        parts.append((f"epics[{index}].permissions", epic.permissions))
        for place, task in enumerate(epic.tasks):
            parts.append((f"epics[{index}].tasks[{place}].permissions", task.permissions))
    for path, permissions in parts:
        if permissions.default == pb.PERMISSION_DECISION_ALLOW or _EVERYTHING.intersection(permissions.allow):
            yield Violation(path, "lets agents run any command; allow only the commands that they need")


def _unchecked(plan: pb.Plan, circumstances: Circumstances) -> Iterator[Violation]:
    if plan.defaults.checks or circumstances.project_checks:
        return
    for index, epic in enumerate(plan.epics):
        for place, task in enumerate(epic.tasks):
            if not task.checks:
                message = f"task {epic.key}/{task.key} has no check, so nothing tells whether it is done"
                yield Violation(f"epics[{index}].tasks[{place}]", message)


def _idle(plan: pb.Plan, slots: int) -> Iterator[Violation]:
    """Yields a remark on a plan whose tasks run almost one after the other although agents would be free."""
    if slots < 2 or _tasks(plan) < 4:
        return
    found = analysis.analyse(plan, slots)
    if found.total_work < _ALONE * found.makespan:
        chain = " → ".join(found.critical_path)
        message = (
            f"almost all work is one chain ({chain}), so {slots - 1} of {slots} agents would be idle; split it into"
            " epics that do not wait for each other where the code allows that"
        )
        yield Violation("epics", message)


def _agents(plan: pb.Plan, circumstances: Circumstances) -> Iterator[Violation]:
    """Yields the agents that cannot be started, each once, and a missing default."""
    seen: set[str] = set()
    for path, agent in _named_agents(plan):
        if agent in seen:
            continue
        seen.add(agent)
        if not agent and circumstances.before is not None:
            # The run of the plan has an agent for such tasks, or will have.
            continue
        if not agent:
            yield Violation(path, f"is missing; use {circumstances.proposed_agent or SCRIPTED}")
        elif problem := circumstances.agent_problem(agent):
            yield Violation(path, problem)


def _named_agents(plan: pb.Plan) -> Iterator[tuple[str, str]]:
    """Yields the agents of tasks, candidates and reviews with their fields; the agent is empty if none is named."""
    for index, epic in enumerate(plan.epics):
        yield from _reviewers(f"epics[{index}]", epic.reviews)
        for place, task in enumerate(epic.tasks):
            path = f"epics[{index}].tasks[{place}]"
            yield (f"{path}.agent", task.agent) if task.agent else ("defaults.agent", plan.defaults.agent)
            yield from _reviewers(path, task.reviews)
            for number, candidate in enumerate(task.candidates):
                if candidate.agent:
                    yield f"{path}.candidates[{number}].agent", candidate.agent
            if task.HasField("choose"):
                yield f"{path}.choose.agent", task.choose.agent


def _reviewers(path: str, reviews: Sequence[pb.PlanReview]) -> Iterator[tuple[str, str]]:
    yield from ((f"{path}.reviews[{place}].agent", review.agent) for place, review in enumerate(reviews))


def placed(text: str, found: Sequence[Violation]) -> Iterator[pb.PlanRemark]:
    """Yields remarks on a plan file, with their lines."""
    root = Source(text, "plan").root or Node(Place())
    for each in found[:_MOST_REMARKS]:
        line, column = root.place_of(parse_path(each.field))
        yield pb.PlanRemark(line=line, column=column, field=each.field, message=each.description)


def _no_plan(handover: Handover, *, revises: bool) -> str:
    if handover.cut_off:
        return "the plan has no end: its block is not closed; write a shorter plan, and write all of it"
    if handover.plans:
        return f"the answer has {len(handover.plans)} different plans; write exactly one"
    if revises:
        return NO_REVISION
    return "the answer has no plan; end with one block ```yaml that has the whole plan"


def _unestimated(plan: pb.Plan) -> int:
    return sum(not task.HasField("estimate") for epic in plan.epics for task in epic.tasks)


def _tasks(plan: pb.Plan) -> int:
    return sum(len(epic.tasks) for epic in plan.epics)


def _words(text: str) -> str:
    return text if len(text) <= _MOST_WORDS else f"…{text[-_MOST_WORDS:]}"

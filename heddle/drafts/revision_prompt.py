"""The prompts for the agent of a draft that changes an existing plan. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.drafts import prompt as parts
from heddle.events.fenced_blocks import fenced

_SPLIT: Final = """\
Split the epic `{epic}` of the plan below into several epics that can be worked on at the same time. It is too large for
one sequence of tasks. Coding agents carry the plan out. You only read: change no file, install nothing, commit nothing.
Your answer is the changed plan."""

_REST: Final = """\
Plan the rest of {what} again. Coding agents have worked on the plan below, and part of it failed. Find out why, and plan
what is left to do in a way that works. You only read: change no file, install nothing, commit nothing. Your answer is
the changed plan."""

_HOW_TO_SPLIT: Final = """\
# How to work

1. Read the parts of the repository that the epic is about. Find out which of its tasks change different files and do not
   build on each other.
2. Distribute its tasks over epics of different code areas. Divide or combine tasks where that helps. Keep their checks.
   Keep the key `{epic}` for one of the epics if it fits, above all if a part of it has started.
3. Adapt `depends_on`, `needs` and `touches` of all epics to it: what depended on the whole epic depends on all its parts.
   Leave everything else as it is.
4. If the work cannot be divided, say so and write no plan."""

_HOW_TO_PLAN_THE_REST: Final = """\
# How to work

1. Read why tasks failed, in what follows and in the repository: was a prompt unclear, a task too large, a check wrong,
   something missing that must be done first?
2. Plan what is left: add tasks that do the failed work in another way, and change, divide, move or remove tasks that have
   not started. If a check itself is wrong, give the new tasks a right one, and say so in your reasons; never leave out a
   check only because it failed.
3. Failed tasks stay in the plan as they are. They count as skipped as soon as your plan is applied, so what they should
   have done must be done by new tasks with other keys.
4. Leave everything else as it is. If nothing of use can be planned, say why and write no plan."""

_OF_A_RUN: Final = """\
# What can change

The plan belongs to a run that has started, and that may continue while you work. Your answer is the whole plan, with all
epics and tasks, also those that have started or are done.

- Whatever has started stays as it is: do not change, move or remove tasks that cannot change according to the list above,
  and put no task before them. An epic with such tasks keeps its `depends_on` and `on_failure`.
- Epics and tasks are recognised by their keys. New ones need new keys; a key that was used is not free again.
- A new epic starts from the base of the run and the epics in its `depends_on`. Work that another epic has accepted but
  not merged is there only for a task that `needs` its task."""

_HANDING_OVER: Final = """\
# Your answer

End with one fenced block that starts with ```yaml and has the whole changed plan. Write no second plan. Before it, say in a
few sentences what you changed and why; a person reads that, sees the difference, and decides whether it is applied. Heddle
checks the plan, and tells you what is wrong with it."""


@dataclass(frozen=True)
class Revised:
    """The plan that a draft changes, and what is known about it."""

    plan: pb.Plan
    # The plan file.
    text: str
    # The revision of the run's plan. 0: it is the plan of no run.
    revision: int = 0
    # How far the run is. Empty: it is the plan of no run.
    report: str = ""
    # What the plan was drafted for. None: not known.
    origin: pb.DraftPlanRequest | None = None


def revision_prompt(
    request: pb.DraftPlanRequest, revised: Revised, ready: Sequence[str], proposed: str
) -> str:
    """Returns the first prompt of a draft that changes a plan; `ready` and `proposed` as in `draft_prompt`."""
    return "\n\n".join(_parts(request, revised, ready, proposed)) + "\n"


def _parts(
    request: pb.DraftPlanRequest, revised: Revised, ready: Sequence[str], proposed: str
) -> Iterator[str]:
    epic = request.revises.epic
    if request.revises.kind == pb.PLAN_REVISION_KIND_SPLIT:
        yield _SPLIT.format(epic=epic)
        yield _HOW_TO_SPLIT.format(epic=epic)
    else:
        yield _REST.format(what=f"the epic `{epic}`" if epic else "this plan")
        yield _HOW_TO_PLAN_THE_REST
    if request.goal.strip():
        yield f"# What the operator wants\n\n{request.goal.strip()}"
    if request.sources:
        yield "\n\n".join(parts.sources_of(request.sources))
    if revised.origin and revised.origin.goal.strip():
        yield f"# What the plan was drafted for\n\n{revised.origin.goal.strip()}"
    if revised.origin and revised.origin.sources:
        yield "\n\n".join(parts.sources_of(revised.origin.sources))
    yield current_plan(revised.text)
    if revised.report:
        yield f"# How far the run is\n\n{revised.report}"
        yield _OF_A_RUN
    yield parts.RULES
    yield parts.agents(ready, proposed or revised.plan.defaults.agent, revises=True)
    yield parts.format_of_plans()
    yield _HANDING_OVER


def current_plan(text: str) -> str:
    """Returns the part of a prompt with the plan to change."""
    return f"# The current plan\n\n{fenced(text, 'yaml')}"

"""Checks requests for drafts, and turns them into plans of one task. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.drafts.prompt import draft_prompt
from heddle.drafts.revision_prompt import Revised, revision_prompt
from heddle.errors import HeddleError, invalid_field
from heddle.plan.rules import MAX_PROMPT_BYTES, SCRIPTED, agent_problem

MAX_GOAL_BYTES: Final = 32_000
MAX_SOURCES: Final = 50
MAX_SOURCE_BYTES: Final = 128_000
MAX_ROUNDS: Final = 20
ROUNDS: Final = 3

# The key of the only epic, and of its only task.
EPIC: Final = "draft"
TASK: Final = "plan"

# Of a session. A budget needs a limit for agents that do not report their usage while they work.
_TIMEOUT: Final = 45 * 60
# How long a question of the agent waits.
_WAIT: Final = 10 * 60

_MOST_TITLE: Final = 60
_MOST_NAME: Final = 200

# What a reader needs. The agent asks for anything else; it may never write.
_READING: Final = (
    *("cat", "head", "tail", "ls", "tree", "wc", "find", "grep", "rg", "file", "stat"),
    *("git log", "git show", "git diff", "git status", "git ls-files", "git grep", "git blame"),
)


def check(request: pb.DraftPlanRequest) -> None:
    """Raises INVALID_FIELD for the first invalid field."""
    if problem := next(_problems(request), None):
        raise problem


def _problems(request: pb.DraftPlanRequest) -> Iterator[HeddleError]:
    revises = request.HasField("revises")
    if revises:
        yield from _of_revision(request)
    elif not request.goal.strip() and not any(source.text.strip() for source in request.sources):
        yield invalid_field("goal", "is missing: say what to achieve, or give a source that does")
    if (size := len(request.goal.encode())) > MAX_GOAL_BYTES:
        limit = f"is {size:,} bytes; at most {MAX_GOAL_BYTES:,} are allowed. Give a longer text as a source"
        yield invalid_field("goal", limit)
    if "\0" in request.goal:
        yield invalid_field("goal", "must not contain a NUL character")
    yield from _of_sources(request.sources)
    if not request.agent.strip():
        yield invalid_field("agent", "is missing: name the agent that drafts")
    elif request.agent == SCRIPTED:
        yield invalid_field(
            "agent", f"{SCRIPTED!r} only repeats its prompt and cannot draft a plan; name another one"
        )
    elif problem := agent_problem(request.agent):
        yield invalid_field("agent", problem)
    if not 0 <= request.rounds <= MAX_ROUNDS:
        yield invalid_field("rounds", f"must be from 0 to {MAX_ROUNDS}")


def _of_revision(request: pb.DraftPlanRequest) -> Iterator[HeddleError]:
    asked = request.revises
    splits = asked.kind == pb.PLAN_REVISION_KIND_SPLIT
    if not splits and asked.kind != pb.PLAN_REVISION_KIND_REST:
        yield invalid_field("revises.kind", "is missing: SPLIT or REST")
    if bool(asked.run) == asked.HasField("plan"):
        yield invalid_field("revises", "needs either the run whose plan is changed, or a plan")
    if splits and not asked.epic:
        yield invalid_field("revises.epic", "is missing: name the epic to split")
    if not asked.run and not splits:
        yield invalid_field("revises.run", "is missing: only a run has a rest to plan again")
    for field in ("project", "base_ref") if asked.run else ():
        if getattr(request, field):
            yield invalid_field(field, f"must be absent: it follows from {asked.run}")
    keys = {epic.key for epic in asked.plan.epics}
    if asked.HasField("plan") and asked.epic not in keys:
        yield invalid_field("revises.epic", f"the plan has no epic {asked.epic!r}; it has {_listed(keys)}")


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(sorted(keys)[:20]) or "none"


def _of_sources(sources: Sequence[pb.DraftSource]) -> Iterator[HeddleError]:
    if len(sources) > MAX_SOURCES:
        yield invalid_field("sources", f"are {len(sources)}; at most {MAX_SOURCES} are allowed")
    # Several may have the same name.
    sizes = [(len(source.text.encode()), source.name) for source in sources]
    if (total := sum(size for size, _ in sizes)) > MAX_SOURCE_BYTES:
        largest, name_of_largest = max(sizes)
        yield invalid_field(
            "sources",
            f"are {total:,} bytes together, of which {name_of_largest} has {largest:,}; at most"
            f" {MAX_SOURCE_BYTES:,} are allowed. Leave parts out, or put the text into the repository and let the goal"
            " name it",
        )
    for place, source in enumerate(sources):
        name = source.name
        if not name.strip() or len(name) > _MOST_NAME or not name.isprintable() or '"' in name:
            allowed = f'must be one line of at most {_MOST_NAME} characters without "'
            yield invalid_field(f"sources[{place}].name", allowed)
        if "\0" in source.text:
            yield invalid_field(f"sources[{place}].text", f"{name} is not text: it has a NUL character")


def drafting_plan(
    request: pb.DraftPlanRequest, ready: Sequence[str], revised: Revised | None = None
) -> pb.Plan:
    """Returns the plan of the run that drafts. `ready` are the agents that can work; `revised` is the plan to change.

    Raises INVALID_FIELD if that plan is too long for a prompt.
    """
    title = title_of(request, revised)
    task = pb.PlanTask(
        key=TASK,
        title=title if revised else f"Draft a plan: {title}",
        prompt=_prompt(request, ready, revised),
        agent=request.agent,
        model=request.model,
        retries=request.rounds if request.HasField("rounds") else ROUNDS,
        timeout=Duration(seconds=_TIMEOUT),
        # A mark that it changes nothing; its work is discarded in any case.
        expect=pb.EXPECT_NOTHING,
        permissions=pb.Permissions(
            allow=[f"Bash({command}:*)" for command in _READING],
            deny=["Edit"],
            wait=Duration(seconds=_WAIT),
        ),
    )
    epic = pb.PlanEpic(key=EPIC, title="Draft of a plan", merge=pb.MERGE_POLICY_OFF, tasks=[task])
    plan = pb.Plan(name=title if revised else f"Draft: {title}", epics=[epic])
    if request.HasField("budget_usd_micros"):
        plan.budget_usd_micros = request.budget_usd_micros
    return plan


def _prompt(request: pb.DraftPlanRequest, ready: Sequence[str], revised: Revised | None) -> str:
    proposed = proposed_agent(request.agent, ready)
    if revised is None:
        return draft_prompt(request.goal, request.sources, ready, proposed)
    prompt = revision_prompt(request, revised, ready, proposed)
    if len(prompt.encode()) > MAX_PROMPT_BYTES and revised.origin is not None:
        # What is left to do matters more than the texts that the first draft was made from.
        prompt = revision_prompt(request, replace(revised, origin=None), ready, proposed)
    if (size := len(prompt.encode())) > MAX_PROMPT_BYTES:
        raise invalid_field(
            "revises",
            f"the plan, its state and the goal are {size:,} bytes as a prompt; at most {MAX_PROMPT_BYTES:,} are"
            " allowed. Change a plan of this size by hand",
        )
    return prompt


def proposed_agent(agent: str, ready: Sequence[str]) -> str:
    """Returns the agent that the plan should name; empty if none is ready.

    A command that drafts plans need not be able to do the work.
    """
    is_command = agent.startswith("command:")
    return (ready[0] if ready else "") if is_command else agent


def title_of(request: pb.DraftPlanRequest, revised: Revised | None = None) -> str:
    """Returns a short title: the first words of the goal or of the first source, or what becomes of a plan."""
    if revised is not None:
        return _short(_title_of_revision(request.revises, revised.plan.name))
    texts = [request.goal, *(source.text for source in request.sources)]
    lines = [line.strip().lstrip("#").strip() for text in texts for line in text.splitlines()]
    words = " ".join(next((line for line in lines if line), "").split())
    return _short("".join(character for character in words if character.isprintable()))


def _title_of_revision(asked: pb.PlanRevision, plan: str) -> str:
    if asked.kind == pb.PLAN_REVISION_KIND_SPLIT:
        return f"Split epic {asked.epic} of {plan}"
    return f"Plan the rest of {f'epic {asked.epic} of ' if asked.epic else ''}{plan}"


def _short(printable: str) -> str:
    return printable if len(printable) <= _MOST_TITLE else f"{printable[: _MOST_TITLE - 1].rstrip()}…"

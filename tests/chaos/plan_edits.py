"""Random plans, and edits of plans as people make them while a run continues."""

from functools import cache

from hypothesis import strategies as st

from heddle import pb
from heddle.plan import file, rules

_KINDS = (
    "prompt", "prompt", "review", "remove task", "remove task", "add task", "insert task", "move task",
    "remove epic", "add epic", "retries", "on_failure", "depends_on", "needs", "candidates", "sync",
)  # fmt: skip


# A plan file with inputs, which are filled in before a plan is applied.
PROMPT = 'inputs:\n  how: {type: string}\nname: Any\nepics: [{key: e, tasks: [{key: t, prompt: "Go ${{ inputs.how }}"}]}]\n'


def prompts() -> st.SearchStrategy[str]:
    """Prompts, of which some have a value of an input."""
    return st.sampled_from(["Go", *(filled(how) for how in ("left", "right"))])


@cache
def filled(how: str) -> str:
    loaded = file.parse(PROMPT, "plan", {"how": how})
    assert not loaded.problems
    return loaded.plan.epics[0].tasks[0].prompt


# The scripted agent cannot review, and resolves no conflicts.
_REVIEWER = "command:review"
_AGENTS = st.sampled_from(["scripted", "command:work"])


def reviews() -> st.SearchStrategy[list[pb.PlanReview]]:
    """No review, or one that blocks or only reports."""
    return st.lists(
        st.builds(pb.PlanReview, agent=st.just(_REVIEWER), prompt=st.just("Look"), blocking=st.booleans()),
        max_size=1,
    )


@st.composite
def plans(draw: st.DrawFn) -> pb.Plan:
    plan = pb.Plan(name="Any", defaults=pb.TaskDefaults(agent=draw(_AGENTS), retries=draw(st.integers(0, 2))))
    for place in range(draw(st.integers(1, 3))):
        depends_on = [f"e{place - 1}"] if place and draw(st.booleans()) else []
        epic = plan.epics.add(
            key=f"e{place}",
            depends_on=depends_on,
            on_failure=draw(st.sampled_from(pb.OnFailure.values())),
            reviews=draw(reviews()),
            sync=draw(st.sampled_from(pb.SyncPolicy.values())),
            on_conflict=draw(st.sampled_from(pb.OnConflict.values())),
        )
        for number in range(draw(st.integers(1, 3))):
            priority, given = draw(st.integers(1, 3)), draw(reviews())
            tried = draw(st.sampled_from([0, 0, 2]))
            compares = tried and draw(st.booleans())
            epic.tasks.add(
                key=f"t{number}",
                prompt=draw(prompts()),
                priority=priority,
                reviews=given,
                candidates=[pb.PlanCandidate()] * tried,
                choose=pb.PlanChoice(agent=_REVIEWER) if compares else None,
                score="score" if tried and draw(st.booleans()) else "",
            )
    for _ in range(draw(st.integers(0, 3))):
        epic, other = draw(st.sampled_from(plan.epics)), draw(st.sampled_from(plan.epics))
        task, needed = draw(st.sampled_from(epic.tasks)), draw(st.sampled_from(other.tasks))
        task.needs.append(f"{other.key}/{needed.key}")
        if rules.violations(plan):
            task.needs.pop()
    return plan


@st.composite
def edited(draw: st.DrawFn, plan: pb.Plan) -> pb.Plan:
    """The plan with one to three edits, of which those that would make it invalid are left out."""
    changed = pb.Plan()
    changed.CopyFrom(plan)
    for number in range(draw(st.integers(1, 3))):
        attempt = pb.Plan()
        attempt.CopyFrom(changed)
        _edit(draw, attempt, draw(st.sampled_from(_KINDS)), f"n{number}")
        if not rules.violations(attempt):
            changed = attempt
    return changed


def _edit(draw: st.DrawFn, plan: pb.Plan, kind: str, key: str) -> None:  # noqa: C901, PLR0912 (one branch for each kind)
    epic = draw(st.sampled_from(plan.epics))
    task = draw(st.sampled_from(epic.tasks))
    place = draw(st.integers(0, len(epic.tasks) - 1))
    match kind:
        case "prompt":
            task.prompt += "!"
        case "review":
            task.reviews.add(agent=_REVIEWER, prompt="Look")
        case "remove task" if len(epic.tasks) > 1:
            epic.tasks.remove(task)
        case "add task":
            epic.tasks.add(key=key, prompt="More", priority=9)
        case "insert task":
            epic.tasks.insert(place, pb.PlanTask(key=key, prompt="More", priority=epic.tasks[place].priority))
        case "move task":
            task.priority = draw(st.integers(1, 4))
        case "remove epic" if len(plan.epics) > 1:
            plan.epics.remove(epic)
        case "add epic":
            plan.epics.add(key=key, depends_on=[epic.key]).tasks.add(key="t0", prompt="Go")
        case "retries":
            plan.defaults.retries = draw(st.integers(0, 3))
        case "on_failure":
            epic.on_failure = draw(st.sampled_from(pb.OnFailure.values()))
        case "depends_on":
            epic.depends_on[:] = [] if epic.depends_on else [draw(st.sampled_from(plan.epics)).key]
        case "candidates":
            tried = [] if task.candidates else [pb.PlanCandidate()] * 2
            del task.candidates[:]
            task.score = ""
            task.ClearField("choose")
            task.candidates.extend(tried)
        case "sync":
            epic.sync = draw(st.sampled_from(pb.SyncPolicy.values()))
        case "needs":
            task.needs[:] = [] if task.needs else [f"{draw(st.sampled_from(plan.epics)).key}/t0"]

"""Small edits of plans, as people make them while a run continues."""

from hypothesis import strategies as st

from heddle import pb
from heddle.plan import rules

_KINDS = (
    "prompt", "prompt", "review", "remove task", "remove task", "add task", "insert task", "move task",
    "remove epic", "add epic", "retries", "on_failure", "depends_on", "needs",
)  # fmt: skip


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


def _edit(draw: st.DrawFn, plan: pb.Plan, kind: str, key: str) -> None:  # noqa: C901 (one branch for each kind)
    epic = draw(st.sampled_from(plan.epics))
    task = draw(st.sampled_from(epic.tasks))
    place = draw(st.integers(0, len(epic.tasks) - 1))
    match kind:
        case "prompt":
            task.prompt += "!"
        case "review":
            task.reviews.add(agent="scripted", prompt="Look")
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
        case "needs":
            task.needs[:] = [] if task.needs else [f"{draw(st.sampled_from(plan.epics)).key}/t0"]

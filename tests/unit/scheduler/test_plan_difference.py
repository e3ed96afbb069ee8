"""What differs between two plans of a run, and which of it is too late."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle import pb
from heddle.plan.graphs.analysis import planned_order
from scheduler_svc.model.plans.plan_difference import (
    EpicProgress,
    Progress,
    changed_fields,
    copy_fields,
    difference,
    new_order,
    refused,
    unstarted,
)

ACCEPTED = "it is accepted"


def a_plan(**epics: list[str]) -> pb.Plan:
    plan = pb.Plan(name="Shop")
    for key, tasks in epics.items():
        plan.epics.add(key=key, tasks=[pb.PlanTask(key=task, prompt=f"Do {task}") for task in tasks])
    return plan


def copied(plan: pb.Plan) -> pb.Plan:
    copy = pb.Plan()
    copy.CopyFrom(plan)
    return copy


def progress(plan: pb.Plan, *started: str, merged: str = "") -> Progress:
    """Returns the progress of a run in which these tasks, as EPIC/TASK, are accepted."""
    epics = {}
    for epic in plan.epics:
        tasks = {
            task.key: ACCEPTED if f"{epic.key}/{task.key}" in started else "" for task in planned_order(epic)
        }
        epics[epic.key] = EpicProgress(
            started="it has started" if any(tasks.values()) else "",
            merged="its merge has begun" if epic.key == merged else "",
            tasks=tasks,
        )
    return Progress(epics)


def told(changes: list[pb.PlanChange]) -> list[str]:
    """Returns the changes as text, such as "changed a/one: prompt (refused)"."""
    lines = []
    for each in changes:
        kind = pb.PlanChangeKind.Name(each.kind).removeprefix("PLAN_CHANGE_KIND_").lower()
        about = "/".join(filter(None, (each.epic, each.task))) or "plan"
        fields = ", ".join(field.field for field in each.fields)
        lines.append(f"{kind} {about}: {fields}{' (refused)' if each.refusal else ''}".rstrip(": "))
    return lines


def test_parts_are_added_changed_moved_and_removed() -> None:
    """Each part that differs is one change; the values are those that take effect."""
    before = a_plan(a=["one", "two", "three"], b=["one"], c=["one"])
    after = a_plan(c=["one"], a=["one", "three", "two", "four"], d=["one"])
    after.epics[0].depends_on.append("a")
    after.epics[1].tasks[0].retries = 3
    changes = difference(before, after, progress(before))
    assert told(changes) == [
        "changed c: depends_on, order",
        "changed a/one: retries",
        "moved a/three: order",
        "added a/four",
        "added d",
        "removed b",
    ]
    values = {
        f"{each.epic}/{each.task} {field.field}": (field.before, field.after)
        for each in changes
        for field in each.fields
    }
    assert values["a/one retries"] == ("0", "3")
    # Places count from 1.
    assert (values["c/ order"], values["a/three order"]) == (("3", "1"), ("3", "2"))


@pytest.mark.parametrize(
    ("order", "moved"),
    [("bcdae", "a"), ("ebacd", "eb"), ("abced", "e"), ("bca", "a"), ("abcde", "")],
)
def test_as_few_parts_as_possible_are_moved(order: str, moved: str) -> None:
    """Of epics and of tasks, only those are moved without which the rest is in its old order."""
    keys = sorted(order)
    before = a_plan(**{key: ["one"] for key in keys})
    changes = difference(before, a_plan(**{key: ["one"] for key in order}), progress(before))
    assert told(changes) == [f"moved {key}: order" for key in order if key in moved]
    before = a_plan(a=keys)
    changes = difference(before, a_plan(a=list(order)), progress(before))
    assert told(changes) == [f"moved a/{key}: order" for key in order if key in moved]


def test_nothing_of_a_new_run_has_started() -> None:
    """Its tasks are in the order in which they run, and can all be changed."""
    plan = a_plan(a=["one", "two"], b=["one"])
    plan.epics[0].tasks[1].priority = 1
    assert unstarted(plan, "codex") == Progress(
        {"a": EpicProgress(tasks={"two": "", "one": ""}), "b": EpicProgress(tasks={"one": ""})}, "codex"
    )
    assert list(unstarted(plan).epics["a"].tasks) == ["two", "one"]


def test_a_budget_is_told_as_in_plans() -> None:
    """The field has the name and the unit of plan files: dollars, not their millionths."""
    before = a_plan(a=["one"])
    after = copied(before)
    after.epics[0].budget_usd_micros = 1_500_000
    (change,) = difference(before, after, progress(before))
    assert [(each.field, each.before, each.after) for each in change.fields] == [("budget_usd", "", "1.5")]


def test_the_first_started_task_that_another_would_precede_is_named() -> None:
    """Of several started tasks after a new one, the refusal names the one that ran first."""
    before = a_plan(a=["one", "two"])
    reason = f"task a/zero: it would come before one, and {ACCEPTED}"
    for order in (["zero", "one", "two"], ["zero", "two", "one"]):
        changes = difference(before, a_plan(a=order), progress(before, "a/one", "a/two"))
        assert reason in refused(changes)


def test_a_merged_epic_cannot_be_removed() -> None:
    """Also if none of its tasks has started, as all of them were skipped."""
    before = a_plan(a=["one"], b=["one"])
    changes = difference(before, a_plan(b=["one"]), progress(before, merged="a"))
    assert refused(changes) == ["epic a: its merge has begun"]


def test_a_default_counts_for_each_task_that_has_not_started() -> None:
    """A changed default changes pending tasks without an own value; started tasks keep the old one."""
    before = a_plan(a=["one", "two", "three"])
    before.epics[0].tasks[2].agent = "codex"
    after = copied(before)
    after.defaults.agent = "claude"
    changes = difference(before, after, progress(before, "a/one"))
    assert told(changes) == ["changed plan: defaults.agent", "changed a/two: agent"]
    assert not refused(changes)


def test_the_agent_of_the_run_replaces_the_default_in_both_plans() -> None:
    """A run with an agent of its own is not changed by another default agent."""
    before = a_plan(a=["one"])
    after = copied(before)
    after.defaults.agent = "claude"
    found = difference(before, after, Progress(progress(before).epics, agent="codex"))
    assert told(found) == ["changed plan: defaults.agent"]


def changed(change: str) -> pb.Plan:  # noqa: C901 (one branch for each change)
    """Returns the plan of the next test after one change of what has started."""
    plan = a_plan(a=["one", "two", "three"], b=["one"])
    epic = plan.epics[0]
    match change:
        case "prompt":
            epic.tasks[0].prompt = "Another"
        case "remove":
            del epic.tasks[0]
        case "remove epic":
            del plan.epics[0]
        case "before":
            epic.tasks.insert(0, pb.PlanTask(key="zero", prompt="Do zero"))
        case "move":
            epic.tasks[2].priority = 1
        case "depends_on":
            epic.depends_on.append("b")
        case "on_failure":
            epic.on_failure = pb.ON_FAILURE_STOP_RUN
        case "merge":
            epic.merge = pb.MERGE_POLICY_MANUAL
        case "merge_style":
            plan.merge_style = pb.MERGE_STYLE_SQUASH
        case "merge_into":
            plan.merge_into = "main"
    return plan


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("prompt", f"task a/one: {ACCEPTED}"),
        ("remove", f"task a/one: {ACCEPTED}"),
        ("remove epic", "epic a: it has started"),
        ("before", f"task a/zero: it would come before one, and {ACCEPTED}"),
        ("move", f"task a/three: it would come before one, and {ACCEPTED}"),
        ("depends_on", "epic a: it has started (depends_on)"),
        ("on_failure", "epic a: it has started (on_failure)"),
        ("merge", "epic a: its merge has begun (merge)"),
        ("merge_style", "the plan: epic a is already merged in the other style (merge_style)"),
        (
            "merge_into",
            "the plan: the branch that the run moves is chosen when the run is created (merge_into)",
        ),
    ],
)
def test_what_has_started_cannot_change(change: str, line: str) -> None:
    """A change of what has started is refused with the reason; the same change of a new run is not, but for the target."""
    before = a_plan(a=["one", "two", "three"], b=["one"])
    after = changed(change)
    assert refused(difference(before, after, progress(before, "a/one", merged="a"))) == [line]
    assert bool(refused(difference(before, after, progress(before)))) == (change == "merge_into")


def test_a_closed_epic_takes_no_task() -> None:
    """An epic that would not run another task refuses one; a key that another task has is refused as well."""
    before = a_plan(a=["one"])
    closed = Progress(
        {"a": EpicProgress(closed="its epic is being merged", tasks={"one": "", "resolve-1": "x"})}
    )
    after = a_plan(a=["one", "two", "resolve-1"])
    assert refused(difference(before, after, closed)) == [
        "task a/two: its epic is being merged",
        "task a/resolve-1: another task of the run has this key",
    ]


@pytest.mark.parametrize(
    ("before", "planned", "after"),
    [
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["a", "x", "b"], ["a", "c", "b"], ["a", "x", "c", "b"]),
        (["x", "a"], ["b", "a"], ["x", "b", "a"]),
    ],
)
def test_tasks_that_no_plan_has_follow_their_predecessor(
    before: list[str], planned: list[str], after: list[str]
) -> None:
    """A task that resolves a conflict stays after the task that it followed."""
    assert new_order(before, planned) == after


def test_fields_are_copied_as_they_are() -> None:
    """Lists are replaced, and an absent field becomes absent, even if its value was the default."""
    source = pb.PlanTask(key="k", title="not copied", prompt="new", checks=[pb.Check(name="c")])
    target = pb.PlanTask(key="k", prompt="old", retries=0, model="kept", checks=[pb.Check(), pb.Check()])
    names = changed_fields(source, target)
    assert names == ["title", "prompt", "checks", "retries", "model"]
    copy_fields(source, target, ["prompt", "checks", "retries"])
    assert changed_fields(source, target) == ["title", "model"]
    assert (source.prompt, target.title, target.model) == ("new", "", "kept")


KEYS = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def plans(draw: st.DrawFn) -> pb.Plan:
    plan = pb.Plan(name="Shop", defaults=pb.TaskDefaults(retries=draw(st.integers(0, 1))))
    for key in draw(st.permutations(draw(st.lists(KEYS, min_size=1, unique=True)))):
        epic = plan.epics.add(key=key, on_failure=draw(st.sampled_from(pb.OnFailure.values()[1:])))
        for task in draw(st.lists(KEYS, min_size=1, unique=True)):
            fields: dict[str, Any] = {"priority": 1} if draw(st.booleans()) else {}
            epic.tasks.add(key=task, prompt=draw(st.sampled_from(["x", "y"])), **fields)
    return plan


@st.composite
def moments(draw: st.DrawFn, plan: pb.Plan) -> Progress:
    """A moment of a run: the first tasks of some epics have started."""
    started = []
    for epic in plan.epics:
        order = planned_order(epic)
        started += [f"{epic.key}/{task.key}" for task in order[: draw(st.integers(0, len(order)))]]
    return progress(plan, *started)


@settings(max_examples=100, deadline=None)
@given(plans(), plans(), st.data())
def test_an_allowed_difference_keeps_what_has_started(
    before: pb.Plan, after: pb.Plan, data: st.DataObject
) -> None:
    """Without a refusal, started tasks are the same and still come first; the same plan differs in nothing."""
    now = data.draw(moments(before))
    assert difference(before, before, now) == []
    changes = difference(before, after, now)
    new = {epic.key: epic for epic in after.epics}
    late = []
    for epic in before.epics:
        stand = now.epics[epic.key]
        started = [key for key, locked in stand.tasks.items() if locked]
        if not started:
            continue
        planned = new.get(epic.key)
        if planned is None or planned.on_failure != epic.on_failure:
            late.append(epic.key)
            continue
        written = {task.key: task for task in epic.tasks}
        order = planned_order(planned)
        if [written[key] for key in started] != order[: len(started)]:
            late.append(epic.key)
    assert bool(refused(changes)) == bool(late)


def test_a_changed_value_of_a_label_or_resource_is_a_change() -> None:
    """Not only new keys count; an epic also changes with the values of its plan."""
    before = a_plan(a=["one"], b=["one"])
    before.epics[0].place["gpu"] = "true"
    before.resources["cpu"] = "2"
    after = copied(before)
    after.epics[0].place["gpu"] = "false"
    after.resources["cpu"] = "4"
    changes = difference(before, after, progress(before, "a/one"))
    assert told(changes) == ["changed plan: resources", "changed a: place, resources", "changed b: resources"]
    assert [each.after for each in changes[1].fields] == ["gpu: 'false'", "cpu: '4'"]

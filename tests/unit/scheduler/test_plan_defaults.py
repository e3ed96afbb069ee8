"""The effective values of a plan's tasks, and the ids of its runs."""

import re

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.names import KEY
from scheduler_svc.model.plan_defaults import resolved_epic, resolved_tasks
from scheduler_svc.model.run_ids import random_suffix, run_id


@pytest.mark.parametrize(
    ("task", "request_agent", "default", "expected"),
    [
        ("command:a", "command:b", "command:c", "command:a"),
        ("", "command:b", "command:c", "command:b"),
        ("", "", "command:c", "command:c"),
        ("", "", "", "scripted"),
    ],
)
def test_agent_of_a_task(task: str, request_agent: str, default: str, expected: str) -> None:
    """The order is the task's own agent, the request's, the plan's, then scripted."""
    epic = pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="t", agent=task)])
    [resolved] = resolved_tasks(epic, pb.TaskDefaults(agent=default), request_agent)
    assert resolved.agent == expected


def test_tasks_are_ordered_by_priority_then_place() -> None:
    """Lower priorities run first, a missing one is 999, and ties keep the order of the plan."""
    tasks = [
        pb.PlanTask(key="a"),
        pb.PlanTask(key="b", priority=1000),
        pb.PlanTask(key="c", priority=0),
        pb.PlanTask(key="d", priority=999),
        pb.PlanTask(key="e", priority=0),
    ]
    ordered = resolved_tasks(pb.PlanEpic(key="x", tasks=tasks), pb.TaskDefaults(), "")
    assert "".join(task.key for task in ordered) == "ceadb"


def test_defaults_fill_only_what_is_absent() -> None:
    """Defaults apply to absent checks, limits and retries; zero counts as set."""
    defaults = pb.TaskDefaults(
        retries=3,
        timeout=Duration(seconds=60),
        silence=Duration(seconds=9),
        background_wait=Duration(seconds=7),
        checks=[pb.Check(name="lint", run="ruff")],
    )
    own = pb.PlanTask(
        key="own",
        title="Mine",
        retries=0,
        timeout=Duration(seconds=1),
        silence=Duration(seconds=2),
        background_wait=Duration(seconds=3),
        checks=[pb.Check(name="x", run="true")],
    )
    mine, bare = resolved_tasks(pb.PlanEpic(key="e", tasks=[own, pb.PlanTask(key="bare")]), defaults, "")
    assert (mine.title, mine.retries, mine.timeout.seconds, mine.checks[0].name) == ("Mine", 0, 1, "x")
    assert (mine.silence.seconds, bare.silence.seconds) == (2, 9)
    assert (mine.background_wait.seconds, bare.background_wait.seconds) == (3, 7)
    assert (bare.title, bare.retries, bare.timeout.seconds, bare.checks[0].name) == ("bare", 3, 60, "lint")


def test_epic_has_title_priority_and_on_failure() -> None:
    """Without values, an epic has its key, 999, and the default on_failure or CONTINUE."""
    bare = resolved_epic(pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="t")]), pb.TaskDefaults())
    assert (bare.title, bare.priority, bare.on_failure) == ("a", 999, pb.ON_FAILURE_CONTINUE)
    assert not bare.tasks
    defaults = pb.TaskDefaults(on_failure=pb.ON_FAILURE_STOP_RUN)
    assert resolved_epic(pb.PlanEpic(key="a"), defaults).on_failure == pb.ON_FAILURE_STOP_RUN


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Add login", "add-login"),
        ("Größe & Maß!", "groe-ma"),
        ("  --  ", "run"),
        ("数据", "run"),
        ("x" * 60, "x" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_run_id_is_a_key_made_of_the_plans_name(title: str, slug: str) -> None:
    """The id is readable, is valid wherever a key is, and ends with the suffix."""
    made = run_id(title, "abcde")
    assert KEY.fullmatch(made)
    assert made == f"{slug}-abcde"


def test_random_suffixes_differ() -> None:
    """Suffixes are five characters of base32 and almost never equal."""
    made = {random_suffix() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch("[a-z2-7]{5}", suffix) for suffix in made)


def test_permissions_of_all_levels_come_together() -> None:
    """The nearest default and wait apply; the patterns of task, epic and defaults are combined."""
    defaults = pb.TaskDefaults(
        permissions=pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW, allow=["Read"], deny=["WebFetch"]),
        model="small",
        max_turns=9,
    )
    defaults.permissions.wait.FromSeconds(60)
    own = pb.PlanTask(key="own", model="large", max_turns=3)
    own.permissions.allow.append("Bash(make:*)")
    own.permissions.default = pb.PERMISSION_DECISION_DENY
    epic = pb.PlanEpic(key="e", tasks=[own, pb.PlanTask(key="bare")])
    epic.permissions.allow.extend(["Read", "Write"])
    epic.permissions.wait.FromSeconds(5)
    mine, bare = resolved_tasks(epic, defaults, "")
    assert (list(mine.permissions.allow), list(mine.permissions.deny)) == (
        ["Bash(make:*)", "Read", "Write"],
        ["WebFetch"],
    )
    assert (mine.permissions.default, bare.permissions.default) == (
        pb.PERMISSION_DECISION_DENY,
        pb.PERMISSION_DECISION_ALLOW,
    )
    assert mine.permissions.wait.seconds == bare.permissions.wait.seconds == 5
    assert (mine.model, mine.max_turns, bare.model, bare.max_turns) == ("large", 3, "small", 9)

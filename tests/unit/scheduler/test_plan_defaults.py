"""The effective values of a plan's tasks, and the ids of its runs."""

import re

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.names import KEY
from scheduler_svc.model.plans.plan_defaults import (
    background_wait,
    merge_checks,
    resolved_epic,
    resolved_tasks,
    with_checks,
    with_place,
)
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
    bare = resolved_epic(pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="t")]), pb.Plan())
    assert (bare.title, bare.priority, bare.on_failure) == ("a", 999, pb.ON_FAILURE_CONTINUE)
    assert not bare.tasks
    plan = pb.Plan(defaults=pb.TaskDefaults(on_failure=pb.ON_FAILURE_STOP_RUN))
    assert resolved_epic(pb.PlanEpic(key="a"), plan).on_failure == pb.ON_FAILURE_STOP_RUN


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


@pytest.mark.parametrize(
    ("epic", "defaults", "merge", "on_conflict"),
    [
        (pb.PlanEpic(), pb.TaskDefaults(), pb.MERGE_POLICY_AUTO, pb.ON_CONFLICT_WAIT),
        (
            pb.PlanEpic(),
            pb.TaskDefaults(merge=pb.MERGE_POLICY_MANUAL, on_conflict=pb.ON_CONFLICT_AGENT),
            pb.MERGE_POLICY_MANUAL,
            pb.ON_CONFLICT_AGENT,
        ),
        (
            pb.PlanEpic(merge=pb.MERGE_POLICY_OFF, on_conflict=pb.ON_CONFLICT_AGENT),
            pb.TaskDefaults(merge=pb.MERGE_POLICY_MANUAL, on_conflict=pb.ON_CONFLICT_WAIT),
            pb.MERGE_POLICY_OFF,
            pb.ON_CONFLICT_AGENT,
        ),
    ],
)
def test_how_an_epic_is_merged(
    epic: pb.PlanEpic,
    defaults: pb.TaskDefaults,
    merge: "pb.MergePolicy.ValueType",
    on_conflict: "pb.OnConflict.ValueType",
) -> None:
    """The epic's own value comes first, then the plan's default; its other fields are kept."""
    epic.key, epic.title, epic.priority = "e", "Epic", 7
    epic.depends_on.append("d")
    resolved = resolved_epic(epic, pb.Plan(defaults=defaults))
    assert (resolved.merge, resolved.on_conflict) == (merge, on_conflict)
    assert (resolved.key, resolved.title, resolved.priority) == ("e", "Epic", 7)
    assert list(resolved.depends_on) == ["d"]


def test_where_an_epic_runs_comes_from_all_levels() -> None:
    """Labels of the project, the plan and the epic count together, and so do resources; the closest value wins."""
    plan = pb.Plan(place={"zone": "eu", "disk": "ssd"}, resources={"cpu": "2", "memory": "4Gi"})
    epic = pb.PlanEpic(key="a", place={"zone": "us"}, resources={"memory": "8Gi"})
    file = pb.ProjectFile(place={"gpu": "true", "disk": "hdd"})
    resolved = resolved_epic(epic, with_place(plan, file, "https://example.com/app"))
    assert dict(resolved.place) == {"gpu": "true", "disk": "ssd", "zone": "us"}
    assert dict(resolved.resources) == {"cpu": "2", "memory": "8Gi"}
    # A run on a path has no place to choose: the file's labels do not keep it from running.
    assert with_place(pb.Plan(), file, "/repository") == pb.Plan()
    assert not plan.place.get("gpu")


def test_what_a_task_may_do_comes_from_it_or_from_the_defaults() -> None:
    """A task's own prompt, effort, tools and servers replace the defaults; allowed files of both count."""
    defaults = pb.TaskDefaults(
        expect=pb.EXPECT_NOTHING,
        allow_files=["*.bin", "a/**"],
        system_prompt="Be brief.",
        effort="low",
        tools=["Read"],
        mcp_servers=[pb.McpServer(name="docs")],
    )
    own = pb.PlanTask(
        key="own",
        expect=pb.EXPECT_ANY,
        allow_files=["a/**", "b"],
        system_prompt="Be exact.",
        effort="high",
        tools=["Edit"],
        mcp_servers=[pb.McpServer(name="mine")],
    )
    mine, bare = resolved_tasks(pb.PlanEpic(key="e", tasks=[own, pb.PlanTask(key="bare")]), defaults, "")
    assert (mine.expect, bare.expect) == (pb.EXPECT_ANY, pb.EXPECT_NOTHING)
    assert (list(mine.allow_files), list(bare.allow_files)) == (["*.bin", "a/**", "b"], ["*.bin", "a/**"])
    assert (mine.system_prompt, bare.system_prompt) == ("Be exact.", "Be brief.")
    assert (mine.effort, bare.effort) == ("high", "low")
    assert (list(mine.tools), list(bare.tools)) == (["Edit"], ["Read"])
    assert [[each.name for each in task.mcp_servers] for task in (mine, bare)] == [["mine"], ["docs"]]


def test_checks_of_a_merge_are_those_of_the_plan_or_of_the_defaults() -> None:
    """A plan may have none on purpose; its own time limit comes before that of the defaults."""
    defaults = pb.TaskDefaults(checks=[pb.Check(name="lint")], timeout=Duration(seconds=60))
    assert merge_checks(pb.Plan(), defaults) == pb.MergeChecks(
        checks=defaults.checks, timeout=Duration(seconds=60)
    )
    none = pb.Plan(merge_checks=pb.MergeChecks())
    assert merge_checks(none, defaults) == pb.MergeChecks(timeout=Duration(seconds=60))
    own = pb.MergeChecks(checks=[pb.Check(name="all")], timeout=Duration(seconds=5))
    assert merge_checks(pb.Plan(merge_checks=own), defaults) == own
    assert not merge_checks(pb.Plan(), pb.TaskDefaults()).HasField("timeout")


def test_a_project_file_gives_checks_to_a_plan_without_any() -> None:
    """Checks of the plan's defaults replace those of the file; the defaults are not changed in place."""
    file = pb.ProjectFile(checks=[pb.Check(name="file")])
    plan = pb.TaskDefaults(model="m", checks=[pb.Check(name="plan")])
    assert with_checks(plan, file) == plan
    bare = pb.TaskDefaults(model="m")
    assert with_checks(bare, file) == pb.TaskDefaults(model="m", checks=file.checks)
    assert with_checks(bare, None) == bare == pb.TaskDefaults(model="m")


def test_a_session_waits_five_minutes_for_background_tasks() -> None:
    """A plan may set another time, also none."""
    assert background_wait(pb.PlanTask()) == Duration(seconds=300)
    assert background_wait(pb.PlanTask(background_wait=Duration(seconds=0))) == Duration(seconds=0)

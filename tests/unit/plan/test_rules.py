"""Every error in a plan is found, with the path of its field."""

from typing import Any, cast

import pytest

from heddle import pb
from heddle.plan import file, rules
from heddle.plan.rules import violations
from heddle.plan.validation import permission_rules


def a_task(key: str = "t", **fields: Any) -> pb.PlanTask:
    """Returns a valid task with these fields set."""
    task = pb.PlanTask(key=key, prompt="Do it.")
    task.MergeFrom(pb.PlanTask(**fields))
    return task


def an_epic(key: str = "a", *tasks: pb.PlanTask, **fields: Any) -> pb.PlanEpic:
    """Returns a valid epic with these fields set."""
    return pb.PlanEpic(key=key, tasks=tasks or [a_task()], **fields)


def a_plan(*epics: pb.PlanEpic, **fields: Any) -> pb.Plan:
    """Returns a valid plan with these fields set."""
    return pb.Plan(name="p", epics=epics or [an_epic()], **fields)


def found(plan: pb.Plan) -> dict[str, str]:
    """Returns the descriptions by field; each field must have only one."""
    list_ = violations(plan)
    by_field = {violation.field: violation.description for violation in list_}
    assert len(by_field) == len(list_)
    return by_field


def test_accepts_a_good_plan() -> None:
    """A plan with one epic and one task is valid."""
    assert violations(a_plan()) == []


def test_reports_every_mistake_at_once() -> None:
    """No error hides another one."""
    plan = pb.Plan(
        epics=[
            pb.PlanEpic(key="a b", tasks=[pb.PlanTask(key="", prompt="x")]),
            pb.PlanEpic(key="b", depends_on=["c"]),
        ]
    )
    plan.defaults.retries = -1
    assert found(plan).keys() == {
        "name",
        "defaults.retries",
        "epics[0].key",
        "epics[0].tasks[0].key",
        "epics[1].tasks",
        "epics[1].depends_on[0]",
    }


def test_needs_epics() -> None:
    """A plan without epics is invalid."""
    assert found(pb.Plan(name="p")) == {"epics": "needs at least one epic"}


@pytest.mark.parametrize("key", ["-a", "a b", "a/b", "ä", "x" * 64, "a.b", "..", "a\n"])
def test_refuses_bad_keys(key: str) -> None:
    """Keys are restricted because they become folders, branches and parts of URLs."""
    assert found(a_plan(an_epic(key))).keys() == {"epics[0].key"}


def test_compares_keys_without_case() -> None:
    """Keys of epics or of an epic's tasks that differ only in case would share a folder on some disks."""
    plan = a_plan(an_epic("a"), an_epic("A", a_task("x"), a_task("X")))
    assert found(plan) == {
        "epics[1].key": "'A' is also the key of epics[0]; keys are case-insensitive",
        "epics[1].tasks[1].key": "'X' is also the key of epics[1].tasks[0]; keys are case-insensitive",
    }


def test_lets_tasks_of_different_epics_share_a_key() -> None:
    """A task's key is unique within its epic only."""
    assert violations(a_plan(an_epic("a"), an_epic("b"))) == []


def test_suggests_the_dependency_that_was_meant() -> None:
    """The error about an unknown key suggests the most similar known key."""
    plan = a_plan(an_epic("backend"), an_epic("ui", depends_on=["bakend", "zzz"]))
    assert found(plan) == {
        "epics[1].depends_on[0]": "there is no epic 'bakend', did you mean backend?",
        "epics[1].depends_on[1]": "there is no epic 'zzz'",
    }


def test_refuses_an_epic_that_depends_on_itself() -> None:
    """An epic that depends on itself has its own error."""
    assert found(a_plan(an_epic("a", depends_on=["a"]))) == {
        "epics[0].depends_on[0]": "'a' depends on itself"
    }


def test_shows_the_whole_path_of_a_cycle() -> None:
    """The path ends where it begins; epics that only depend on the cycle are not in it."""
    plan = a_plan(
        an_epic("z", depends_on=["a"]),
        an_epic("a", depends_on=["b"]),
        an_epic("b", depends_on=["c"]),
        an_epic("c", depends_on=["a"]),
        an_epic("d"),
    )
    assert found(plan) == {"epics[1].depends_on": "these epics depend on each other: a → b → c → a"}


def test_shows_cycles_that_have_nothing_in_common() -> None:
    """Each separate cycle has its own error."""
    plan = a_plan(
        an_epic("a", depends_on=["b"]),
        an_epic("b", depends_on=["a"]),
        an_epic("c", depends_on=["d"]),
        an_epic("d", depends_on=["c"]),
    )
    assert found(plan).keys() == {"epics[0].depends_on", "epics[2].depends_on"}


def test_needs_a_prompt_or_a_script() -> None:
    """A task needs a prompt or a script."""
    script = [pb.ScriptStep(say=pb.ScriptStep.Say(text="hi"))]
    plan = a_plan(an_epic("a", pb.PlanTask(key="t"), pb.PlanTask(key="u", script=script)))
    assert found(plan).keys() == {"epics[0].tasks[0].prompt"}


@pytest.mark.parametrize(
    "agent", ["scripted", "claude", "codex", "acp:gemini", "acp:my-agent --flag", "command:make it so"]
)
def test_knows_its_agents(agent: str) -> None:
    """The known agents and any command are valid."""
    assert rules.agent_problem(agent) is None
    assert violations(a_plan(an_epic("a", a_task(agent=agent)))) == []


@pytest.mark.parametrize(
    "agent", ["command:", "command:  ", "acp:", "acp: ", "cloud", "Scripted", "command", "command:a\0b"]
)
def test_refuses_other_agents(agent: str) -> None:
    """A command needs text after the colon."""
    assert found(a_plan(an_epic("a", a_task(agent=agent)))).keys() == {"epics[0].tasks[0].agent"}


def test_refuses_a_script_for_an_agent_that_plays_none() -> None:
    """A script is also refused if the agent is the plan's default."""
    script = [pb.ScriptStep(say=pb.ScriptStep.Say(text="hi"))]
    plan = a_plan(
        an_epic("a", a_task("t", script=script), a_task("u", script=script, agent="scripted")),
        defaults=pb.TaskDefaults(agent="command:true"),
    )
    assert found(plan).keys() == {"epics[0].tasks[0].script"}


def test_judges_checks() -> None:
    """A check has a unique name and a command."""
    checks = [pb.Check(name="x", run="true"), pb.Check(name="x", run=" "), pb.Check(run="true")]
    plan = a_plan(an_epic("a", a_task(checks=checks)))
    assert found(plan).keys() == {
        "epics[0].tasks[0].checks[1].name",
        "epics[0].tasks[0].checks[1].run",
        "epics[0].tasks[0].checks[2].name",
    }


def test_judges_the_reports_of_checks() -> None:
    """A check's reports are inside the worktree, and their number is limited."""
    check = pb.Check(name="x", run="true", junit=["out/*.xml", "../x"], coverage=["/c.xml"], sarif=["s"] * 21)
    assert found(a_plan(an_epic("a", a_task(checks=[check])))).keys() == {
        "epics[0].tasks[0].checks[0].junit[1]",
        "epics[0].tasks[0].checks[0].coverage[0]",
        "epics[0].tasks[0].checks[0].sarif",
    }


@pytest.mark.parametrize("seconds", [0, -1, 366 * 24 * 3600])
def test_refuses_lengths_that_are_none(seconds: int) -> None:
    """A timeout, silence limit or estimate is greater than zero and at most a year."""
    task = a_task(retries=-1)
    task.timeout.seconds = seconds
    task.silence.seconds = seconds
    task.background_wait.seconds = seconds
    task.estimate.seconds = seconds
    path = "epics[0].tasks[0]"
    assert found(a_plan(an_epic("a", task))).keys() == {
        f"{path}.timeout",
        f"{path}.silence",
        f"{path}.background_wait",
        f"{path}.estimate",
        f"{path}.retries",
    }


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", ".", ".git/hooks/x", "a/.GIT/x", "a\0b"]
)
def test_refuses_paths_that_leave_the_worktree(path: str) -> None:
    """A script writes only inside its worktree, and not to git's own files."""
    steps = [
        pb.ScriptStep(write=pb.ScriptStep.WriteFile(path=path)),
        pb.ScriptStep(edit=pb.ScriptStep.EditFile(path=path, find="x")),
    ]
    plan = a_plan(an_epic("a", a_task(script=steps)))
    assert found(plan).keys() == {
        "epics[0].tasks[0].script[0].write.path",
        "epics[0].tasks[0].script[1].edit.path",
    }


def test_judges_the_steps_of_a_script() -> None:
    """The fields of each step are validated."""
    step = pb.ScriptStep
    steps = [
        step(),
        step(edit=step.EditFile(path="x")),
        step(run=step.RunCommand(command=" ")),
        step(usage=step.ReportUsage(input_tokens=-1)),
        step(ask=step.Ask()),
        step(wait=step.Wait()),
        step(fail=step.Fail(attempts=-1)),
        step(flood=step.Flood()),
        step(ignore_sigterm=step.IgnoreSigterm()),
    ]
    path = "epics[0].tasks[0].script"
    assert found(a_plan(an_epic("a", a_task(script=steps)))).keys() == {
        f"{path}[0]",
        f"{path}[1].edit.find",
        f"{path}[2].run.command",
        f"{path}[3].usage.model",
        f"{path}[3].usage.input_tokens",
        f"{path}[4].ask.question",
        f"{path}[5].wait.duration",
        f"{path}[6].fail.attempts",
        f"{path}[7].flood.lines",
    }


def test_refuses_a_prompt_that_is_too_long() -> None:
    """The limit counts bytes."""
    plan = a_plan(an_epic("a", pb.PlanTask(key="t", prompt="ä" * 100_001)))
    assert found(plan).keys() == {"epics[0].tasks[0].prompt"}


def test_refuses_a_plan_that_fits_no_message() -> None:
    """The whole plan must fit in one message."""
    tasks = [pb.PlanTask(key=f"t{number}", prompt="x" * 150_000) for number in range(21)]
    assert found(a_plan(an_epic("a", *tasks))).keys() == {"epics"}


def test_limits_epics_and_tasks() -> None:
    """A plan has at most a thousand epics and ten thousand tasks."""
    tasks = [pb.PlanTask(key=f"t{number}", prompt="x") for number in range(11)]
    plan = a_plan(*(an_epic(f"e{number}", *tasks) for number in range(1001)))
    assert [violation.field for violation in violations(plan)] == ["epics", "epics"]


def test_a_plan_with_too_many_parts_is_not_checked_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of an oversized plan are not looked at one by one, which would take seconds."""
    monkeypatch.setattr(rules, "_epic", None)
    assert [violation.field for violation in violations(pb.Plan(epics=[pb.PlanEpic()] * 50_000))] == ["epics"]


def test_stops_at_a_thousand_mistakes() -> None:
    """The number of errors for a hostile plan is limited."""
    plan = a_plan(an_epic("a", depends_on=["x"] * 5000))
    assert len(violations(plan)) == rules.MAX_VIOLATIONS


def test_refuses_an_unknown_on_failure() -> None:
    """A value that only newer clients know is refused."""
    epic = an_epic("a")
    epic.on_failure = cast("pb.OnFailure.ValueType", 9)
    assert found(a_plan(epic)).keys() == {"epics[0].on_failure"}


@pytest.mark.parametrize("glob", ["/etc/**", "../**", ""])
def test_refuses_globs_that_leave_the_worktree(glob: str) -> None:
    """Paths that an epic touches are inside the worktree."""
    assert found(a_plan(an_epic("a", touches=[glob]))).keys() == {"epics[0].touches[0]"}


def test_judges_permissions_of_every_level() -> None:
    """An invalid pattern, a wait of zero and a limit of zero are each reported at their field."""
    bad = pb.Permissions(allow=["Write", "Bash("], deny=["no pattern"], project_config=["mcp", "hook"])
    bad.wait.FromSeconds(0)
    plan = a_plan(
        an_epic("a", a_task(permissions=bad, max_turns=0, model="two\nlines"), permissions=bad),
        defaults=pb.TaskDefaults(permissions=bad),
    )
    places = ("defaults", "epics[0]", "epics[0].tasks[0]")
    fields = ("allow[1]", "deny[0]", "wait", "project_config[1]")
    assert found(plan).keys() == {
        *(f"{place}.permissions.{field}" for place in places for field in fields),
        "epics[0].tasks[0].max_turns",
        "epics[0].tasks[0].model",
    }


def test_what_the_repository_may_configure_adds_up() -> None:
    """The names of every level apply together, each once, and those of a plan file reach the message."""
    text = """
name: x
defaults: {permissions: {project_config: [mcp]}}
epics:
- {key: a, tasks: [{key: t, prompt: x, permissions: {project_config: [hooks, mcp]}}]}
"""
    plan = file.parse(text, "p").plan
    levels = (plan.epics[0].tasks[0].permissions, plan.epics[0].permissions, plan.defaults.permissions)
    assert permission_rules.merged(*levels).project_config == ["hooks", "mcp"]
    (problem,) = file.parse(text.replace("[mcp]", "[hock]"), "p").problems
    assert "'mcp', 'settings' or 'hooks'" in str(problem)


def test_nothing_can_wait_for_what_is_never_merged() -> None:
    """A dependency on an epic with merge off, set there or in the defaults, is an error."""
    plan = a_plan(an_epic("a", merge=pb.MERGE_POLICY_OFF), an_epic("b", depends_on=["a"]))
    assert "never merged" in found(plan)["epics[1].depends_on[0]"]
    plan = a_plan(an_epic("a"), an_epic("b", depends_on=["a"]))
    plan.defaults.merge = pb.MERGE_POLICY_OFF
    assert "never merged" in found(plan)["epics[1].depends_on[0]"]
    plan.epics[0].merge = pb.MERGE_POLICY_MANUAL
    assert found(plan) == {}


def test_an_unknown_agent_is_told_the_nearest_or_all() -> None:
    """Names are suggested, but no prefix such as `acp:`; without a similar name, all forms are listed."""
    assert rules.agent_problem("claud") == "'claud' is not a known agent, did you mean claude?"
    assert (rules.agent_problem("zzz") or "").startswith("'zzz' is not a known agent; use ")


def needing(**needs: list[str]) -> pb.Plan:
    """Returns epics a and b with tasks one and two; the keyword a_two has the needs of a/two."""
    plan = pb.Plan(name="Needs")
    for key in ("a", "b"):
        epic = plan.epics.add(key=key)
        for task in ("one", "two"):
            epic.tasks.add(key=task, prompt="Go", needs=needs.get(f"{key}_{task}", []))
    return plan


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ("a/one", "is in the same epic"),
        ("b/ono", "there is no task 'b/ono', did you mean b/one?"),
        ("b", "use EPIC/TASK"),
        ("b/one/x", "use EPIC/TASK"),
    ],
)
def test_a_need_names_a_task_of_another_epic(need: str, message: str) -> None:
    """Anything else is an error at its place in the list."""
    (found,) = rules.violations(needing(a_two=[need]))
    assert found.field == "epics[0].tasks[1].needs[0]"
    assert message in found.description


def test_a_need_is_listed_once() -> None:
    """The second mention is an error."""
    (found,) = rules.violations(needing(a_two=["b/one", "b/one"]))
    assert (found.field, "listed twice" in found.description) == ("epics[0].tasks[1].needs[1]", True)


def test_tasks_that_wait_for_each_other_are_named_with_the_path() -> None:
    """The path goes through needs, the order in an epic, and depends_on; a plan without such a circle is valid."""
    assert not rules.violations(needing(a_two=["b/one"], b_two=["a/one"]))
    (found,) = rules.violations(needing(a_one=["b/two"], b_one=["a/two"]))
    assert found.field == "epics[0].tasks[0].needs"
    path = "a/one → b/two (needs) → b/one (order) → a/two (needs) → a/one (order)"
    assert found.description == f"these tasks wait for each other: {path}"
    plan = needing(a_one=["b/one"])
    plan.epics[1].depends_on.append("a")
    (found,) = rules.violations(plan)
    assert "a/one → b/one (needs) → a/two (depends_on) → a/one (order)" in found.description

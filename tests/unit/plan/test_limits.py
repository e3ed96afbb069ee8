"""Each limit of a plan: what is exactly at it is valid, and one more is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.plan import rules
from heddle.plan.file import load, parse
from tests.unit.plan.test_rules import a_plan, a_task, an_epic, found

INT32 = (1 << 31) - 1


def of_task(**fields: Any) -> pb.Plan:
    return a_plan(an_epic("a", a_task(**fields)))


def checked(count: int, **fields: Any) -> pb.Plan:
    return of_task(checks=[pb.Check(name="c", run="true", **dict.fromkeys(fields, ["x"] * count))])


def step(**fields: Any) -> pb.Plan:
    return a_plan(an_epic("a", pb.PlanTask(key="t", script=[pb.ScriptStep(**fields)])))


def spread(epics: int, tasks: int) -> pb.Plan:
    """Returns a plan with so many tasks in so many epics."""
    share = [tasks // epics + (place < tasks % epics) for place in range(epics)]
    return a_plan(
        *(an_epic(f"e{place}", *(a_task(f"t{t}") for t in range(count))) for place, count in enumerate(share))
    )


def sized(size: int) -> pb.Plan:
    """Returns a plan of exactly `size` bytes."""
    plan = spread(1, 20)
    for task in plan.epics[0].tasks[:-1]:
        task.prompt = "x" * 150_000
    last = plan.epics[0].tasks[-1]
    while (missing := size - plan.ByteSize()) > 0:
        last.prompt += "x" * max(1, missing - 10)
    assert plan.ByteSize() == size
    return plan


def servers(count: int) -> pb.Plan:
    agent = pb.TaskDefaults(mcp_servers=[pb.McpServer(name=f"s{n}", command="x") for n in range(count)])
    return of_task(agent="claude", mcp_servers=agent.mcp_servers)


TASK = "epics[0].tasks[0]"


@pytest.mark.parametrize(
    ("field", "limit", "plan"),
    [
        ("epics", 1_000, lambda n: spread(n, n)),
        ("epics", 10_000, lambda n: spread(10, n)),
        ("epics", 3_000_000, sized),
        (f"{TASK}.prompt", 200_000, lambda n: of_task(prompt="ä" * (n // 2) + "x" * (n % 2))),
        (f"{TASK}.title", 200, lambda n: of_task(title="ä" * n)),
        ("name", 200, lambda n: pb.Plan(name="ä" * n, epics=[an_epic()])),
        ("epics[0].key", 63, lambda n: a_plan(an_epic("k" * n))),
        (f"{TASK}.allow_files", 20, lambda n: of_task(allow_files=["x"] * n)),
        (f"{TASK}.checks[0].junit", 20, lambda n: checked(n, junit=())),
        (f"{TASK}.checks[0].coverage", 20, lambda n: checked(n, coverage=())),
        (f"{TASK}.checks[0].sarif", 20, lambda n: checked(n, sarif=())),
        (f"{TASK}.permissions.allow", 200, lambda n: of_task(permissions=pb.Permissions(allow=["Bash"] * n))),
        (f"{TASK}.permissions.deny", 200, lambda n: of_task(permissions=pb.Permissions(deny=["Bash"] * n))),
        (f"{TASK}.system_prompt", 100_000, lambda n: of_task(agent="claude", system_prompt="ä" * (n // 2) + "x" * (n % 2))),
        (f"{TASK}.tools", 200, lambda n: of_task(agent="claude", tools=["Bash"] * n)),
        (f"{TASK}.mcp_servers", 50, servers),
        (f"{TASK}.script[0].flood.lines", 10_000_000, lambda n: step(flood=pb.ScriptStep.Flood(lines=n))),
        (f"{TASK}.script[0].flood.width", 1 << 20, lambda n: step(flood=pb.ScriptStep.Flood(lines=1, width=n))),
        (f"{TASK}.script[0].plan.done", 2, lambda n: step(plan=pb.ScriptStep.Plan(steps=["a", "b"], done=n))),
        (f"{TASK}.reviews", 5, lambda n: of_task(agent="claude", reviews=[pb.PlanReview(agent="codex")] * n)),
        (f"{TASK}.candidates", 9, lambda n: of_task(agent="claude", candidates=[pb.PlanCandidate()] * n)),
        (f"{TASK}.timeout", 365 * 86_400, lambda n: of_task(timeout=Duration(seconds=n))),
    ],
)  # fmt: skip
def test_upper_limits(field: str, limit: int, plan: Callable[[int], pb.Plan]) -> None:
    """A value at its limit is valid; with one more, exactly this field is refused."""
    assert found(plan(limit)) == {}
    assert found(plan(limit + 1)).keys() == {field}


@pytest.mark.parametrize(
    ("field", "limit", "plan"),
    [
        (f"{TASK}.retries", 0, lambda n: of_task(retries=n)),
        (f"{TASK}.max_turns", 1, lambda n: of_task(max_turns=n)),
        (f"{TASK}.budget_usd", 1, lambda n: of_task(budget_usd_micros=n)),
        ("budget_usd", 1, lambda n: a_plan(budget_usd_micros=n)),
        (f"{TASK}.script[0].fail.attempts", 0, lambda n: step(fail=pb.ScriptStep.Fail(attempts=n))),
        (f"{TASK}.script[0].flood.lines", 1, lambda n: step(flood=pb.ScriptStep.Flood(lines=n))),
        (f"{TASK}.script[0].flood.width", 0, lambda n: step(flood=pb.ScriptStep.Flood(lines=1, width=n))),
        (f"{TASK}.script[0].plan.done", 0, lambda n: step(plan=pb.ScriptStep.Plan(steps=["a"], done=n))),
        (f"{TASK}.silence", 1, lambda n: of_task(silence=Duration(nanos=n))),
        ("defaults.background_wait", 1, lambda n: a_plan(defaults=pb.TaskDefaults(background_wait=Duration(nanos=n)))),
    ],
)  # fmt: skip
def test_lower_limits(field: str, limit: int, plan: Callable[[int], pb.Plan]) -> None:
    """A value at its lower limit is valid; with one less, exactly this field is refused."""
    assert found(plan(limit)) == {}
    assert found(plan(limit - 1)).keys() == {field}


def test_only_the_first_violations_are_reported() -> None:
    """A plan with a thousand errors reports them all; of more, the first thousand."""
    for wrong, told in ((1_000, 1_000), (1_001, 1_000)):
        plan = a_plan(an_epic("a", depends_on=[f"x{number}" for number in range(wrong)]))
        assert [each.field for each in rules.violations(plan)] == [
            f"epics[0].depends_on[{place}]" for place in range(told)
        ]


@pytest.mark.parametrize(
    ("beyond", "message"), [(0, ""), (1, "is larger than 4 MiB, the maximum for a plan")]
)
def test_size_of_a_file(tmp_path: Path, beyond: int, message: str) -> None:
    """A file of 4 MiB is read; one byte more is refused."""
    text = "name: x\nepics: [{key: a, tasks: [{key: t, prompt: x}]}]\n"
    size = (4 << 20) + beyond
    path = tmp_path / "plan.yaml"
    path.write_text(text + "#" * (size - len(text)))
    assert path.stat().st_size == size
    assert [problem.message for problem in load(path).problems] == [message] * beyond


@pytest.mark.parametrize(("depth", "refused"), [(32, False), (33, True)])
def test_depth_of_a_file(depth: int, refused: bool) -> None:
    """A file nests 32 levels deep; the level below is refused."""
    problems = parse("[" * depth + "]" * depth, "p").problems
    assert any("nests deeper than 32 levels" in problem.message for problem in problems) == refused


@pytest.mark.parametrize(("values", "refused"), [(249_995, False), (249_996, True)])
def test_values_of_a_file(values: int, refused: bool) -> None:
    """A file has 250,000 parts besides its beginning; the brackets of its list and its ends are some of them."""
    problems = parse("[" + "a," * values + "]", "p").problems
    assert any("more than 250,000 values" in problem.message for problem in problems) == refused


def test_numbers_of_a_file() -> None:
    """Numbers of a file are at most what the message's field holds, and a budget is at most a billion."""
    plan = "{{name: x, epics: [{{key: a, tasks: [{{key: t, prompt: x, {0}}}]}}]}}"
    for good, wrong in (
        (f"priority: {INT32}", f"priority: {INT32 + 1}"),
        (f"priority: -{INT32}", f"priority: -{INT32 + 1}"),
        (f"retries: {INT32}", f"retries: {INT32 + 1}"),
        (f"max_turns: {INT32}", f"max_turns: {INT32 + 1}"),
        ("max_turns: 1", "max_turns: 0"),
        ("budget_usd: 1000000000", "budget_usd: 1000000000.01"),
        ("timeout: 365d", "timeout: 365d1s"),
        (
            f"script: [{{usage: {{model: m, input_tokens: {(1 << 63) - 1}}}}}]",
            f"script: [{{usage: {{model: m, input_tokens: {1 << 63}}}}}]",
        ),
    ):
        assert parse(plan.format(good), "p").problems == (), good
        assert parse(plan.format(wrong), "p").problems, wrong

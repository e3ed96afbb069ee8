"""The example plan of the form for a run."""

import pytest

from heddle import pb
from heddle.plan.file import parse
from heddle.samples.example import example_plan, ready_agents


def worker(*agents: pb.AgentProgram, connected: bool = True) -> pb.Worker:
    return pb.Worker(name="workers/w", connected=connected, agents=agents)


CLAUDE = pb.AgentProgram(name="claude", available=True)
CODEX = pb.AgentProgram(name="codex", available=True)
OUT = pb.AgentProgram(name="claude", available=True, needs_login=True)
KINDS = [
    pb.AgentProgram(name="scripted", available=True),
    pb.AgentProgram(name="command:", available=True),
    pb.AgentProgram(name="acp:", available=True),
    pb.AgentProgram(name="acp:gemini"),
]


def test_only_agents_that_can_work_are_ready() -> None:
    """An agent without a login, a missing one, one that needs a command, and the scripted one are not."""
    assert ready_agents([worker(*KINDS, OUT, CODEX), worker(CLAUDE, CODEX)]) == ["codex", "claude"]
    assert ready_agents([worker(*KINDS, OUT), worker(CLAUDE, connected=False)]) == []


@pytest.mark.parametrize(
    ("ready", "preferred", "agent"),
    [
        (["claude", "codex"], "", "claude"),
        (["claude", "codex"], "codex", "codex"),
        (["claude"], "gone", "claude"),
        ([], "claude", "scripted"),
    ],
)
def test_the_example_fits_what_is_ready(ready: list[str], preferred: str, agent: str) -> None:
    """The plan is valid and names an agent that can work; without one, it says that it is a dry run."""
    loaded = parse(example_plan(ready, preferred), "plan")
    assert not loaded.problems
    assert loaded.plan.defaults.agent == agent
    assert ("(dry run)" in loaded.plan.name) is (not ready)
    checks = [check for epic in loaded.plan.epics for task in epic.tasks for check in task.checks]
    assert bool(checks) is bool(ready)

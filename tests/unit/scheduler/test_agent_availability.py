"""Which agents a worker can start, and which of them need a limit."""

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.errors import HeddleError
from scheduler_svc.model.sessions.agent_availability import check_available, check_form, without_limit

LATE, LIVE = pb.USAGE_REPORTS_LATE, pb.USAGE_REPORTS_LIVE

PROGRAMS = (
    pb.AgentProgram(name="claude", available=True, usage_reports=LIVE),
    pb.AgentProgram(name="codex", detail="codex is not on PATH"),
    pb.AgentProgram(name="acp:", available=True, usage_reports=LATE),
    pb.AgentProgram(name="acp:own", available=True, usage_reports=LATE, holds_max_turns=True),
    pb.AgentProgram(name="command:", available=True, usage_reports=LATE),
)


def test_a_name_that_no_worker_could_start_is_refused() -> None:
    """The error names the agent as metadata, and the agents that can be started."""
    check_form("claude", PROGRAMS)
    check_form("command:make a:b", PROGRAMS)
    with pytest.raises(HeddleError) as caught:
        check_form("claud", PROGRAMS)
    assert caught.value.reason == pb.ERROR_REASON_UNKNOWN_AGENT
    assert caught.value.message.endswith("; it can start: claude, acp:, acp:own, command:")
    assert caught.value.metadata == {"agent": "claud"}
    with pytest.raises(HeddleError, match=r"it can start: none$"):
        check_form("claud", PROGRAMS[1:2])


@pytest.mark.parametrize("agent", ["claude", "acp:own", "acp:other", "command:make a:b"])
def test_an_available_agent_is_accepted(agent: str) -> None:
    """A prefix stands for every agent that begins with it, whatever follows its colon."""
    check_available(agent, "task t", PROGRAMS)


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("codex", "the worker cannot start agent 'codex' (codex is not on PATH), which task t needs; it can"),
        ("scripted", "the worker cannot start agent 'scripted', which task t needs; it can"),
        ("other:x:y", "the worker cannot start agent 'other:', which task t needs; it can"),
    ],
)
def test_an_agent_that_the_worker_lacks_is_refused(agent: str, message: str) -> None:
    """The error says what is missing, if the worker knows it, and what needs the agent."""
    with pytest.raises(HeddleError) as caught:
        check_available(agent, "task t", PROGRAMS)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("task", "budget", "named"),
    [
        (pb.PlanTask(agent="command:make"), "its budget_usd", "`timeout`,"),
        (pb.PlanTask(agent="command:make", max_turns=3), "its budget_usd", "`timeout`,"),
        (pb.PlanTask(agent="command:make", timeout=Duration(seconds=1)), "its budget_usd", ""),
        (pb.PlanTask(agent="command:make"), "", ""),
        (pb.PlanTask(agent="claude"), "its budget_usd", ""),
        (pb.PlanTask(agent="acp:own"), "its budget_usd", "`timeout` or `max_turns`,"),
        (pb.PlanTask(agent="acp:own", max_turns=3), "its budget_usd", ""),
        # An agent that this worker does not have is refused for that reason.
        (pb.PlanTask(agent="codex"), "its budget_usd", ""),
    ],
)
def test_a_task_that_nothing_could_stop_is_refused(task: pb.PlanTask, budget: str, named: str) -> None:
    """Below a budget, an agent that reports its usage late needs a limit that it keeps to."""
    found = without_limit("tasks[0]", task, budget, PROGRAMS)
    assert [each.field for each in found] == (["tasks[0].timeout"] if named else [])
    assert all(named in each.description for each in found)

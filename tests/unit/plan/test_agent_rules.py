"""The options that each kind of agent supports in addition to the prompt."""

from typing import Any

from heddle import pb
from heddle.plan import rules


def problems(defaults: pb.TaskDefaults | None = None, **task: Any) -> dict[str, str]:
    """Returns the errors of a plan with one task, by path."""
    one = pb.PlanTask(key="t", prompt="Do it", **task)
    epic = pb.PlanEpic(key="e", tasks=[one])
    plan = pb.Plan(name="p", defaults=defaults, epics=[epic])
    return {found.field: found.description for found in rules.violations(plan)}


def test_what_an_agent_cannot_heed_is_refused() -> None:
    """The error names the agent and those that support the key, even if the defaults set it."""
    servers = [pb.McpServer(name="s", command="srv")]
    assert (
        problems(agent="claude", effort="high", tools=["Read"], system_prompt="x", mcp_servers=servers) == {}
    )
    assert problems(agent="codex", effort="high", system_prompt="x", mcp_servers=servers) == {}
    assert problems(agent="acp:gemini", mcp_servers=servers) == {}
    (field,) = problems(agent="codex", tools=["Read"])
    assert field == "epics[0].tasks[0].tools"
    found = problems(pb.TaskDefaults(effort="high"), agent="command:make")
    assert (
        "(from defaults); agents that support it: claude, codex, acp:claude-agent-acp"
        in found["epics[0].tasks[0].effort"]
    )


def test_servers_and_effort_are_good_ones() -> None:
    """A server has a unique name and either a command or a URL; the effort is a known one."""
    servers = [
        pb.McpServer(name="a", command="x", url="http://x"),
        pb.McpServer(name="a", url="file:///x"),
        pb.McpServer(),
    ]
    found = problems(agent="claude", mcp_servers=servers, effort="much")
    place = "epics[0].tasks[0].mcp_servers"
    assert found[f"{place}[0]"] == "needs either a command or a url"
    assert "is also the name of" in found[f"{place}[1].name"]
    assert "http:// or https://" in found[f"{place}[1].url"]
    assert f"{place}[2].name" in found
    assert "use low, medium, high, xhigh, max" in found["epics[0].tasks[0].effort"]

"""The options that each kind of agent supports in addition to the prompt."""

from typing import Any

import pytest

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


PLACE = "epics[0].tasks[0]"


@pytest.mark.parametrize(
    ("key", "most", "item", "found"),
    [
        ("tools", 200, lambda _: "Read", "has 201 tools; at most 200"),
        ("mcp_servers", 50, lambda number: pb.McpServer(name=f"s{number}", command="x"), "has 51 servers"),
        ("system_prompt", 100_000, lambda _: "x", "is 100,001 bytes"),
    ],
)
def test_options_have_limits(key: str, most: int, item: Any, found: str) -> None:
    """The limit itself is allowed; the error has the number that was given."""
    items = [item(number) for number in range(most + 1)]
    whole: Any = "".join(items) if key == "system_prompt" else items
    assert problems(agent="claude", **{key: whole[:most]}) == {}
    assert found in problems(agent="claude", **{key: whole})[f"{PLACE}.{key}"]


def test_a_system_prompt_counts_in_bytes() -> None:
    """Characters of several bytes count as such."""
    assert problems(agent="claude", system_prompt="é" * 50_000) == {}
    assert f"{PLACE}.system_prompt" in problems(agent="claude", system_prompt="é" * 50_001)


@pytest.mark.parametrize(
    "server",
    [
        pb.McpServer(name="s", command="a\0"),
        pb.McpServer(name="s", url="https://x\0"),
        pb.McpServer(name="s", command="a", args=["ok", "b\0"]),
        pb.McpServer(name="s", command="a", env={"K": "v\0"}),
        pb.McpServer(name="s", url="http://x", headers={"K": "v\0"}),
    ],
)
def test_a_server_has_no_nul(server: pb.McpServer) -> None:
    """No program and no header can have such a character."""
    assert "NUL" in problems(agent="claude", mcp_servers=[server])[f"{PLACE}.mcp_servers[0]"]


def test_a_server_has_an_address_of_the_web() -> None:
    """Both schemes are allowed, at the start of the address only."""
    for url in ("http://x", "https://x"):
        assert problems(agent="claude", mcp_servers=[pb.McpServer(name="s", url=url)]) == {}
    bad = pb.McpServer(name="s", url="file:///x?http://")
    assert "must start with" in problems(agent="claude", mcp_servers=[bad])[f"{PLACE}.mcp_servers[0].url"]


def test_a_third_server_of_a_name_is_told_the_first() -> None:
    """Each repetition names the first server of that name."""
    servers = [pb.McpServer(name=name, command="x") for name in ("a", "b", "b", "b")]
    found = problems(agent="claude", mcp_servers=servers)
    assert set(found) == {f"{PLACE}.mcp_servers[2].name", f"{PLACE}.mcp_servers[3].name"}
    assert all(f"{PLACE}.mcp_servers[1]" in text for text in found.values())

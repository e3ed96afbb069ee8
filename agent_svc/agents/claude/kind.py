"""The properties of the `claude` agent that are the same on every worker."""

from typing import Final

from heddle.agents import OPTIONS, AgentKind

PROVIDER: Final = "anthropic"

KIND: Final = AgentKind(
    "claude",
    driver="agent_svc.agents.claude.driver:ClaudeDriver",
    provider=PROVIDER,
    options=OPTIONS,
    reports_usage_live=True,
    holds_max_turns=True,
    resumes=True,
    takes_messages=True,
    obeyed=(".claude", ".mcp.json"),
)

"""The properties of the `claude` agent that are the same on every worker."""

from typing import Final

from heddle.agents import OPTIONS, PROJECT_CONFIG, AgentKind

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
    project_config=PROJECT_CONFIG,
    obeyed=(".claude", ".mcp.json"),
)

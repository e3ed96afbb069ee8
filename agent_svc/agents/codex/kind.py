"""The properties of the `codex` agent that are the same on every worker."""

from typing import Final

from heddle.agents import AgentKind

PROVIDER: Final = "openai"

KIND: Final = AgentKind(
    "codex",
    driver="agent_svc.agents.codex.driver:CodexDriver",
    provider=PROVIDER,
    options=("system_prompt", "effort", "mcp_servers"),
    reports_usage_live=True,
    resumes=True,
    takes_messages=True,
    project_config=("mcp", "settings"),
    obeyed=(".codex",),
)

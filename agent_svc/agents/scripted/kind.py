"""What is true of the `scripted` agent on every worker."""

from typing import Final

from heddle.agents import AgentKind

KIND: Final = AgentKind(
    "scripted",
    driver="agent_svc.agents.scripted.driver:ScriptedDriver",
    reports_usage_live=True,
    resumes=True,
    takes_messages=True,
)

"""The properties of the `scripted` agent that are the same on every worker."""

from typing import Final

from heddle.agents import AgentKind

KIND: Final = AgentKind(
    "scripted",
    driver="agent_svc.agents.scripted.driver:ScriptedDriver",
    reports_usage_live=True,
    resumes=True,
    takes_messages=True,
)

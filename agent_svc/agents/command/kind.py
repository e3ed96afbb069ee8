"""The properties of `command:` agents that are the same on every worker."""

from typing import Final

from heddle.agents import AgentKind

KIND: Final = AgentKind(
    "command:",
    driver="agent_svc.agents.command.driver:CommandDriver",
    argument="a shell command",
    form="command:SHELL COMMAND",
)

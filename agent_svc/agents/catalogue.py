"""All kinds of agents that this worker can start."""

from collections.abc import Sequence

from agent_svc.agents.acp.driver import acp_drivers
from agent_svc.agents.base.driver import Driver
from agent_svc.agents.claude.driver import ClaudeDriver
from agent_svc.agents.codex.driver import CodexDriver
from agent_svc.agents.command.driver import CommandDriver
from agent_svc.agents.scripted.driver import ScriptedDriver
from agent_svc.text import clip
from heddle import errors, pb


class Catalogue:
    """The drivers, in the order in which people see them."""

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self._drivers = tuple(drivers)

    def programs(self) -> list[pb.AgentProgram]:
        return [_program(driver) for driver in self._drivers]

    def driver(self, agent: str) -> Driver:
        """Returns the driver of `agent`; raises UNKNOWN_AGENT that says which there are."""
        for driver in self._drivers:
            if driver.accepts(agent):
                return driver
        names = ", ".join(program.name for program in self.programs() if program.available)
        raise errors.HeddleError(
            pb.ERROR_REASON_UNKNOWN_AGENT,
            f"no agent {clip(agent, 80)!r} here; this worker has: {names} (command: takes a shell command after it)",
            agent=clip(agent, 80),
        )


def _program(driver: Driver) -> pb.AgentProgram:
    program = driver.program()
    live = driver.reports_usage_live
    program.usage_reports = pb.USAGE_REPORTS_LIVE if live else pb.USAGE_REPORTS_LATE
    program.holds_max_turns = driver.holds_max_turns
    return program


def default_catalogue() -> Catalogue:
    """Returns the agents that come with Heddle."""
    return Catalogue((ScriptedDriver(), ClaudeDriver(), CodexDriver(), *acp_drivers(), CommandDriver()))

"""The kinds of agents that this worker can start."""

from collections.abc import Sequence
from pkgutil import resolve_name

import structlog

from agent_svc.agents.base.driver import Driver
from agent_svc.text import clip
from heddle import agents, errors, pb

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Catalogue:
    """The drivers, in display order, and the kinds whose driver cannot be loaded."""

    def __init__(self, drivers: Sequence[Driver], broken: Sequence[pb.AgentProgram] = ()) -> None:
        self._drivers = tuple(drivers)
        self._broken = tuple(broken)

    def programs(self) -> list[pb.AgentProgram]:
        return [*map(_program, self._drivers), *self._broken]

    def driver(self, agent: str) -> Driver:
        """Returns the driver of `agent`; raises UNKNOWN_AGENT with a list of the available agents."""
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
    program, kind = driver.program(), driver.kind
    program.usage_reports = pb.USAGE_REPORTS_LIVE if kind.reports_usage_live else pb.USAGE_REPORTS_LATE
    program.holds_max_turns = kind.holds_max_turns
    program.provider = kind.provider
    program.options.extend(kind.options)
    program.resumes = kind.resumes
    program.takes_messages = kind.takes_messages
    program.login_variables.extend(driver.login_variables)
    return program


def default_catalogue() -> Catalogue:
    """Returns Heddle's agents and those of installed packages.

    An agent whose driver cannot be loaded is listed as not available.
    """
    drivers: list[Driver] = []
    broken: list[pb.AgentProgram] = []
    for kind in agents.kinds():
        why = kind.problem
        try:
            if not why:
                drivers.append(resolve_name(kind.driver)(kind))
        except Exception as error:  # noqa: BLE001 (whatever a package raises: other kinds must still work)
            why = f"its driver {kind.driver} cannot be loaded: {error!r}"
        if why:
            log.warning("agent_kind_broken", kind=kind.name, reason=why)
            broken.append(pb.AgentProgram(name=kind.name, detail=why))
    return Catalogue(drivers, broken)

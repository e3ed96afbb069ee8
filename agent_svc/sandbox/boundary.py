"""Decides when the service starts whether agents run in a sandbox, and reports why."""

import asyncio
import platform
from dataclasses import replace
from typing import Final, NamedTuple

import structlog

from agent_svc.processes.supervised import Command
from agent_svc.sandbox.bubblewrap import Bubblewrap, NoSandboxError, Resident
from agent_svc.sandbox.rules import Network, Rules
from agent_svc.sandbox.seatbelt import Seatbelt
from heddle import pb
from heddle.config import ConfigError, Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

OFF = "HEDDLE_SANDBOX is off"

# What agents reach, for users.
_NETWORKS: Final[dict[Network, str]] = {
    "open": "with the network of this machine",
    "internet": "with a network that reaches other machines only",
    "none": "without a network",
}


class Boundary(NamedTuple):
    """The sandbox of agents, and the report of it that users see."""

    # None: agents can write whatever this service can.
    sandbox: Bubblewrap | Seatbelt | None
    report: pb.WriteBoundary

    async def held(self, command: Command, resident: Resident) -> Command:
        """Returns the command as it runs in the sandbox; without a sandbox, the same command.

        Raises OSError if the network of the sandbox cannot be made.
        """
        if self.sandbox is None:
            return command
        try:
            wrapper = await asyncio.to_thread(self.sandbox.wrapper, resident)
        except NoSandboxError as error:
            raise OSError(f"{error}: {error.advice}") from error
        return replace(command, wrapper=wrapper, system_calls=self.sandbox.system_calls(resident))

    def processes(self) -> list[int]:
        """Returns the PIDs of the children of this process that the sandbox needs."""
        return self.sandbox.processes() if self.sandbox else []

    def close(self) -> None:
        """Ends these processes. Idempotent."""
        if self.sandbox:
            self.sandbox.close()

    def warning(self) -> str:
        """Returns the warning for a session's log, or "" if agents run in a sandbox."""
        if self.sandbox is not None:
            return ""
        return f"No write boundary: the agent can write whatever agent_svc can ({self.report.detail}).\n"


def boundary(settings: Settings) -> Boundary:
    """Returns the boundary that `settings` request and this machine can provide.

    Raises ConfigError if a required sandbox or network cannot be provided.
    """
    rules = Rules.of(settings)
    if settings.sandbox == "off":
        if rules.network != "open":
            raise ConfigError(f"{_network(rules)} needs the sandbox, and {OFF}")
        return _none(OFF, "unset HEDDLE_SANDBOX, or set it to auto")
    for path in settings.sandbox_writable:
        if not path.exists():
            log.warning("sandbox_writable_missing", path=str(path))
    try:
        sandbox = find(rules)
    except NoSandboxError as error:
        if settings.sandbox == "required":
            raise ConfigError(
                f"HEDDLE_SANDBOX is required, but {error}: {error.advice}; or set it to auto,"
                " and agents may write whatever this service may"
            ) from error
        if rules.network != "open":
            raise ConfigError(f"{_network(rules)} needs the sandbox, but {error}: {error.advice}") from error
        return _none(str(error), error.advice)
    log.info("sandbox_on", program=sandbox.version, network=rules.network)
    return Boundary(
        sandbox, pb.WriteBoundary(held=True, detail=f"{sandbox.version}, {_NETWORKS[rules.network]}")
    )


def _network(rules: Rules) -> str:
    return f"HEDDLE_SANDBOX_NETWORK is {rules.network}, which"


def find(rules: Rules) -> Bubblewrap | Seatbelt:
    """Returns the sandbox of this system after a trial; raises NoSandboxError."""
    return Seatbelt.find(rules) if platform.system() == "Darwin" else Bubblewrap.find(rules)


def _none(reason: str, advice: str) -> Boundary:
    log.warning("sandbox_off", reason=reason, advice=advice)
    return Boundary(None, pb.WriteBoundary(detail=reason, advice=advice))

"""Decides when the service starts whether agents run in a sandbox, and reports why."""

import asyncio
from typing import NamedTuple

import structlog

from agent_svc.sandbox.bubblewrap import Bubblewrap, NoSandboxError, Resident
from heddle import pb
from heddle.config import ConfigError, Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()

OFF = "HEDDLE_SANDBOX is off"


class Boundary(NamedTuple):
    """The sandbox of agents, and the report of it that users see."""

    # None: agents can write whatever this service can.
    sandbox: Bubblewrap | None
    report: pb.WriteBoundary

    async def wrapper(self, resident: Resident) -> tuple[str, ...]:
        """Returns the arguments to put before a command that runs in the sandbox, or () without a sandbox."""
        return await asyncio.to_thread(self.sandbox.wrapper, resident) if self.sandbox else ()

    def warning(self) -> str:
        """Returns the warning for a session's log, or "" if agents run in a sandbox."""
        if self.sandbox is not None:
            return ""
        return f"No write boundary: the agent can write whatever agent_svc can ({self.report.detail}).\n"


def boundary(settings: Settings) -> Boundary:
    """Returns the boundary that `settings` request and this machine can provide.

    Raises ConfigError if a required sandbox cannot be provided.
    """
    if settings.sandbox == "off":
        return _none(OFF, "unset HEDDLE_SANDBOX, or set it to auto")
    for path in settings.sandbox_writable:
        if not path.exists():
            log.warning("sandbox_writable_missing", path=str(path))
    secrets = [settings.tls.key] if settings.tls else []
    try:
        sandbox = Bubblewrap.find(settings.home, settings.sandbox_writable, secrets)
    except NoSandboxError as error:
        if settings.sandbox == "required":
            raise ConfigError(
                f"HEDDLE_SANDBOX is required, but {error}: {error.advice}; or set it to auto,"
                " and agents may write whatever this service may"
            ) from error
        return _none(str(error), error.advice)
    log.info("sandbox_on", bubblewrap=sandbox.version)
    return Boundary(sandbox, pb.WriteBoundary(held=True, detail=sandbox.version))


def _none(reason: str, advice: str) -> Boundary:
    log.warning("sandbox_off", reason=reason, advice=advice)
    return Boundary(None, pb.WriteBoundary(detail=reason, advice=advice))

"""The settings and services that all sessions of a worker share."""

from dataclasses import dataclass, field
from pathlib import Path

from agent_svc.processes import supervised
from agent_svc.sandbox.boundary import Boundary
from agent_svc.sandbox.watch import Watch
from agent_svc.sessions.logins import Logins
from heddle.prices import Prices
from heddle.timing.clock import Clock


@dataclass(frozen=True)
class WorkerContext:
    """The settings and services that all sessions of a worker share."""

    worker: str
    # HEDDLE_HOME, below which the worktrees are.
    home: Path
    # Time between SIGTERM and SIGKILL, in seconds.
    grace: float
    # Names of environment variables that agents may inherit.
    inherited: tuple[str, ...]
    clock: Clock
    prices: Prices
    boundary: Boundary
    # Bytes of memory that a session's processes may use in total. 0: no limit.
    memory: int = 0
    # Processes that a session may have at a time. 0: no limit.
    processes: int = 0
    # Bytes of text that a session stores. 0: no limit.
    text_limit: int = 0
    logins: Logins = field(default_factory=Logins)
    watch: Watch = field(default_factory=Watch)
    supervisors: supervised.Supervisors = field(default_factory=supervised.Supervisors)

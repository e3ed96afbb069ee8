"""The `scripted` agent: a host that plays the steps of a task's script."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from agent_svc.agents.base import protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.agents.scripted.kind import KIND
from heddle import __version__, pb
from heddle.agents import AgentKind

# The variable with a factor for the pauses between pieces of text. 0: no pauses.
SPEED: Final = "HEDDLE_SCRIPT_SPEED"


class ScriptedDriver:
    """Starts `python -m agent_svc.agents.scripted`."""

    login_variables = ()

    def __init__(self, kind: AgentKind = KIND, environ: Mapping[str, str] = os.environ) -> None:
        self.kind = kind
        self._environment = {SPEED: environ[SPEED]} if environ.get(SPEED) else {}

    def accepts(self, agent: str) -> bool:
        return agent == self.kind.name

    def program(self) -> pb.AgentProgram:
        return pb.AgentProgram(
            name=self.kind.name,
            available=True,
            version=__version__,
            detail="plays a task's script; costs nothing",
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return Launch(
            # -E -P: neither a variable of the project nor a module in the worktree may replace a module of Heddle's.
            arguments=(sys.executable, "-E", "-P", "-m", "agent_svc.agents.scripted"),
            stdin=protocol.opening(request, resume),
            controlled=True,
            environment=self._environment,
        )

    def translator(self) -> HostTranslator:
        return HostTranslator()

"""The `scripted` agent: a host of ours that plays the steps of a task's script."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from agent_svc.agents.base import protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator
from heddle import __version__, pb

NAME: Final = "scripted"

# A factor on the pauses between pieces of text; 0: none.
SPEED: Final = "HEDDLE_SCRIPT_SPEED"


class ScriptedDriver:
    """Starts `python -m agent_svc.agents.scripted`."""

    reports_usage_live = True
    holds_max_turns = False

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environment = {SPEED: environ[SPEED]} if environ.get(SPEED) else {}

    def accepts(self, agent: str) -> bool:
        return agent == NAME

    def program(self) -> pb.AgentProgram:
        return pb.AgentProgram(
            name=NAME, available=True, version=__version__, detail="plays a task's script; costs nothing"
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return Launch(
            # -P: a module of the worktree must not stand in for one of ours.
            arguments=(sys.executable, "-P", "-m", "agent_svc.agents.scripted"),
            stdin=protocol.opening(request, resume),
            controlled=True,
            environment=self._environment,
        )

    def translator(self) -> HostTranslator:
        return HostTranslator()

"""The `acp:NAME` agents: any program that speaks the Agent Client Protocol on its standard streams.

NAME is a preset or a command line: `acp:my-agent --flag`.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from agent_svc.agents.acp.kinds import PREFIX
from agent_svc.agents.acp.presets import Agent, find
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator, host_launch
from agent_svc.agents.base.npm_package import npm_version
from agent_svc.agents.base.session_command import own_session
from heddle import pb
from heddle.agents import AgentKind

LIBRARY: Final = "acp"
NO_LIBRARY: Final = "not installed here; run: pip install 'heddle[acp]'"


class AcpDriver:
    """Starts the host of one preset."""

    def __init__(
        self,
        kind: AgentKind,
        environ: Mapping[str, str] = os.environ,
        has_library: Callable[[], bool] = lambda: find_spec(LIBRARY) is not None,
    ) -> None:
        self.kind = kind
        self._preset = find(kind.name)
        self._environ = environ
        self._has_library = has_library
        self.login_variables = self._preset.login_variables

    def accepts(self, agent: str) -> bool:
        return agent == self.kind.name

    def program(self) -> pb.AgentProgram:
        name = self.kind.name
        path = shutil.which(self._preset.command[0], path=self._environ.get("PATH"))
        if not self._has_library():
            return pb.AgentProgram(name=name, detail=NO_LIBRARY)
        if path is None:
            return pb.AgentProgram(name=name, detail=f"not found on PATH; {self._preset.install}")
        detail = path if self._logged_in() else f"{path}; no login found: {self._preset.login}"
        return pb.AgentProgram(name=name, available=True, version=npm_version(Path(path)), detail=detail)

    def _logged_in(self) -> bool:
        home = Path(self._environ.get("HOME", "/"))
        keys = [name for name in self._preset.login_variables if name.endswith(("_KEY", "_TOKEN"))]
        return any(self._environ.get(name) for name in keys) or (home / self._preset.login_file).exists()

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return _launch(request, resume, self._preset)

    def translator(self) -> HostTranslator:
        return HostTranslator()


class AcpCommandDriver:
    """Starts the host for a user's command line."""

    # A user's command line receives only the variables that HEDDLE_AGENT_ENV names.
    login_variables = ()

    def __init__(self, kind: AgentKind) -> None:
        self.kind = kind

    def accepts(self, agent: str) -> bool:
        try:
            find(agent)
        except ValueError:
            return False
        return True

    def program(self) -> pb.AgentProgram:
        if find_spec(LIBRARY) is None:
            return pb.AgentProgram(name=PREFIX, detail=NO_LIBRARY)
        detail = "any command line that speaks the Agent Client Protocol"
        return pb.AgentProgram(name=PREFIX, available=True, detail=detail)

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return _launch(request, resume, find(request.agent))

    def translator(self) -> HostTranslator:
        return HostTranslator()


def _launch(request: pb.StartSessionRequest, resume: str, agent: Agent) -> Launch:
    return replace(
        host_launch("agent_svc.agents.acp", request, resume),
        models=True,
        own=agent.own,
        user_namespaces=agent.user_namespaces,
        # The id comes after the session's cost; see memory.py.
        own_session=lambda known: own_session(agent.reopen, known.partition(":")[2]),
    )

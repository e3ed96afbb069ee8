"""The `codex` agent: OpenAI's Codex CLI, driven by a host through `codex exec --json`."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator, host_launch
from agent_svc.agents.base.npm_package import npm_version
from agent_svc.agents.base.session_command import own_session
from agent_svc.agents.codex.home import HOME, PATIENCE, CodexHome
from agent_svc.agents.codex.kind import KIND
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from heddle import pb
from heddle.agents import AgentKind

# The variables that say how codex reaches the model's API.
ROUTES: Final = (HOME, "OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")

INSTALL: Final = "run: npm install -g @openai/codex"
LOG_IN: Final = "run: codex login, or set CODEX_API_KEY for the agent service"


class CodexDriver:
    """Starts `python -m agent_svc.agents.codex`."""

    def __init__(self, kind: AgentKind = KIND, environ: Mapping[str, str] = os.environ) -> None:
        self.kind = kind
        self._environ = environ

    @property
    def login_variables(self) -> tuple[str, ...]:
        return (*ROUTES, *CodexHome(self._environ).keys)

    def accepts(self, agent: str) -> bool:
        return agent == self.kind.name

    def program(self) -> pb.AgentProgram:
        path = shutil.which("codex", path=self._environ.get("PATH"))
        if path is None:
            return pb.AgentProgram(
                name=self.kind.name, available=False, detail=f"not found on PATH; {INSTALL}"
            )
        ready = CodexHome(self._environ).ready
        return pb.AgentProgram(
            name=self.kind.name,
            available=True,
            version=npm_version(Path(path)),
            detail=path if ready else f"{path}; no login found: {LOG_IN}",
            needs_login=not ready,
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        patience = self._environ.get(PATIENCE)
        return replace(
            host_launch("agent_svc.agents.codex", request, resume),
            models=True,
            environment={PATIENCE: patience} if patience else {},
            own=(CODEX_FOLDER,),
            user_namespaces=True,
            own_session=partial(own_session, ("codex", "resume")),
        )

    def translator(self) -> HostTranslator:
        return HostTranslator()

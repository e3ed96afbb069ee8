"""The `codex` agent: OpenAI's Codex CLI, driven by a host of ours through `codex exec --json`."""

import os
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from agent_svc.agents.acp.driver import npm_version
from agent_svc.agents.base import protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.agents.base.session_command import own_session
from agent_svc.agents.codex.home import HOME, PATIENCE, CodexHome
from agent_svc.sandbox.own_folder import CODEX_FOLDER
from heddle import pb

NAME: Final = "codex"

# How it reaches the model's API.
ROUTES: Final = (HOME, "OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")

INSTALL: Final = "run: npm install -g @openai/codex"
LOG_IN: Final = "run: codex login, or set CODEX_API_KEY for the agent service"


class CodexDriver:
    """Starts `python -m agent_svc.agents.codex`."""

    reports_usage_live = True
    holds_max_turns = False

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def accepts(self, agent: str) -> bool:
        return agent == NAME

    def program(self) -> pb.AgentProgram:
        path = shutil.which("codex", path=self._environ.get("PATH"))
        if path is None:
            return pb.AgentProgram(name=NAME, available=False, detail=f"not found on PATH; {INSTALL}")
        detail = path if CodexHome(self._environ).ready else f"{path}; no login found: {LOG_IN}"
        return pb.AgentProgram(name=NAME, available=True, version=npm_version(Path(path)), detail=detail)

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        patience = self._environ.get(PATIENCE)
        return Launch(
            # -P: a module of the worktree must not stand in for one of ours.
            arguments=(sys.executable, "-P", "-m", "agent_svc.agents.codex"),
            stdin=protocol.opening(request, resume),
            controlled=True,
            models=True,
            environment={PATIENCE: patience} if patience else {},
            own=(CODEX_FOLDER,),
            own_session=partial(own_session, request, ("codex", "resume")),
            credentials=(*ROUTES, *CodexHome(self._environ).keys),
        )

    def translator(self) -> HostTranslator:
        return HostTranslator()

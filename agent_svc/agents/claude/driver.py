"""The `claude` agent: Claude Code, driven by a host that uses claude-agent-sdk."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator, host_launch
from agent_svc.agents.base.session_command import own_session
from agent_svc.agents.claude.environment import LOGINS, ROUTES
from agent_svc.agents.claude.kind import KIND
from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from heddle import pb
from heddle.agents import AgentKind


class ClaudeDriver:
    """Starts `python -m agent_svc.agents.claude`."""

    login_variables = (*LOGINS, *ROUTES)

    def __init__(self, kind: AgentKind = KIND, environ: Mapping[str, str] = os.environ) -> None:
        self.kind = kind
        self._environ = environ

    def accepts(self, agent: str) -> bool:
        return agent == self.kind.name

    def program(self) -> pb.AgentProgram:
        if not find_spec("claude_agent_sdk"):
            return pb.AgentProgram(
                name=self.kind.name, available=False, detail="not installed: pip install 'heddle[claude]'"
            )
        found = self._login()
        return pb.AgentProgram(
            name=self.kind.name,
            available=True,
            version=_version(),
            detail=found or "not logged in: run `claude` and log in, or set ANTHROPIC_API_KEY",
            needs_login=not found,
        )

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return replace(
            host_launch("agent_svc.agents.claude", request, resume),
            models=True,
            own=(CLAUDE_FOLDER,),
            own_session=partial(own_session, ("claude", "--resume")),
        )

    def translator(self) -> HostTranslator:
        return HostTranslator()

    def _login(self) -> str:
        """Returns how Claude will log in; empty if no login was found."""
        if named := next((name for name in LOGINS if self._environ.get(name)), None):
            return f"logs in with {named}"
        home = Path(self._environ.get("HOME") or Path.home())
        folder = Path(self._environ.get("CLAUDE_CONFIG_DIR") or home / ".claude")
        if (folder / ".credentials.json").is_file():
            return f"logged in by {folder / '.credentials.json'}"
        if sys.platform == "darwin":
            return "logs in with the keychain, where `claude` has been logged in"
        return ""


def _version() -> str:
    """Returns the version of the SDK, which includes Claude Code. Must not import the SDK."""
    try:
        return f"claude-agent-sdk {version('claude-agent-sdk')}"
    except PackageNotFoundError:
        return ""

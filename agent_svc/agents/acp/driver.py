"""The `acp:NAME` agents: any program that speaks the Agent Client Protocol on its standard streams.

NAME is one of the presets, or else a command line: `acp:my-agent --flag`.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from agent_svc.agents.base import protocol
from agent_svc.agents.base.driver import Launch
from agent_svc.agents.base.host_driver import HostTranslator
from agent_svc.agents.base.session_command import own_session
from agent_svc.agents.claude.background_tasks import TELLING
from agent_svc.sandbox.own_folder import (
    CLAUDE_FOLDER,
    CODEX_FOLDER,
    GEMINI_FOLDER,
    GOOSE_FOLDERS,
    OPENCODE_FOLDERS,
    OwnFolder,
)
from heddle import pb

PREFIX: Final = "acp:"

LIBRARY: Final = "acp"
NO_LIBRARY: Final = "not installed here; run: pip install 'heddle[acp]'"

# OpenCode's tools that change nothing.
OPENCODE_READS: Final = ("read", "list", "glob", "grep", "todowrite", "todoread")


@dataclass(frozen=True)
class Agent:
    """How to start one agent, and what people need to know to have it."""

    name: str
    command: tuple[str, ...]
    # The one line that brings it.
    install: str
    # What to do where it is not logged in.
    login: str
    # Names of the service's variables that it needs; the first ones log it in.
    credentials: tuple[str, ...] = ()
    # Below the user's home: present where somebody has logged in.
    login_file: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    # What the service's own variables stand above.
    defaults: Mapping[str, str] = field(default_factory=dict)
    # The session mode in which it asks for permissions. Empty: its own default is that.
    mode: str = ""
    # True: it takes Claude Code's options.
    claude: bool = False
    own: tuple[OwnFolder, ...] = ()
    # The command that opens one of its sessions in a terminal, before the session's id. Empty: none is known.
    reopen: tuple[str, ...] = ()
    # False: it reads and writes files by itself, as it does not understand that one is not there yet.
    files: bool = True


PRESETS: Final = (
    Agent(
        "claude-agent-acp",
        command=("claude-agent-acp",),
        install="run: npm install -g @agentclientprotocol/claude-agent-acp",
        login="run `claude` and /login, or set ANTHROPIC_API_KEY for the agent service",
        credentials=(
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_MODEL",
            "CLAUDE_CODE_EXECUTABLE",
            "CLAUDE_CODE_MAX_RETRIES",
            "CLAUDE_CONFIG_DIR",
            "HTTPS_PROXY",
            "HTTP_PROXY",
            "NODE_EXTRA_CA_CERTS",
            "NO_PROXY",
        ),
        login_file=".claude/.credentials.json",
        environment={
            # `@path` in a prompt or in a check's output would attach the file, whatever is denied.
            "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
            **TELLING,
        },
        # By itself it tries a refused log-in again for three minutes, and says nothing meanwhile.
        defaults={"CLAUDE_CODE_MAX_RETRIES": "5"},
        mode="default",
        claude=True,
        reopen=("claude", "--resume"),
        own=(CLAUDE_FOLDER,),
    ),
    Agent(
        "gemini",
        command=("gemini", "--acp"),
        install="run: npm install -g @google/gemini-cli",
        login="run `gemini` and log in, or set GEMINI_API_KEY for the agent service",
        credentials=(
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GEMINI_MODEL",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_CLOUD_LOCATION",
            "GOOGLE_CLOUD_PROJECT",
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_GENAI_USE_VERTEXAI",
        ),
        login_file=".gemini/oauth_creds.json",
        mode="default",
        own=(GEMINI_FOLDER,),
        files=False,
    ),
    Agent(
        "opencode",
        command=("opencode", "acp"),
        reopen=("opencode", "--session"),
        install="run: npm install -g opencode-ai",
        login="run: opencode auth login",
        credentials=(
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "OPENROUTER_API_KEY",
            "GEMINI_API_KEY",
            "OPENCODE_CONFIG",
            "OPENCODE_CONFIG_CONTENT",
        ),
        login_file=".local/share/opencode/auth.json",
        environment={
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            # Without it OpenCode does everything unasked.
            "OPENCODE_PERMISSION": json.dumps({"*": "ask", **dict.fromkeys(OPENCODE_READS, "allow")}),
        },
        own=OPENCODE_FOLDERS,
    ),
    Agent(
        "codex-acp",
        command=("codex-acp", "-c", "skills.bundled.enabled=false"),
        install="run: npm install -g @zed-industries/codex-acp",
        login="run: codex login, or set OPENAI_API_KEY for the agent service",
        credentials=("OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME"),
        login_file=".codex/auth.json",
        mode="read-only",
        own=(CODEX_FOLDER,),
    ),
    Agent(
        "goose",
        command=("goose", "acp"),
        install="see https://block.github.io/goose/docs/getting-started/installation",
        login="run: goose configure",
        credentials=(
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "GOOGLE_API_KEY",
            "OPENROUTER_API_KEY",
            "GOOSE_MODEL",
            "GOOSE_PROVIDER",
        ),
        login_file=".config/goose/config.yaml",
        environment={"GOOSE_MODE": "approve"},
        own=GOOSE_FOLDERS,
    ),
)


def find(agent: str) -> Agent:
    """Returns the agent that a plan calls `agent`; raises ValueError for what is no command line."""
    name = agent.removeprefix(PREFIX)
    for preset in PRESETS:
        if preset.name == name:
            return preset
    command = tuple(shlex.split(name))
    if not agent.startswith(PREFIX) or not command:
        raise ValueError(f"{agent!r} names no agent: write acp:NAME or acp:COMMAND LINE")
    program = Path(command[0]).name
    return Agent(
        program,
        command=command,
        install="check the command line in the plan, and PATH of the agent service",
        login=f"log in with {program} as the user of the agent service, or name its variables in HEDDLE_AGENT_ENV",
    )


class AcpDriver:
    """Starts the host of one preset."""

    def __init__(
        self,
        preset: Agent,
        environ: Mapping[str, str] = os.environ,
        has_library: Callable[[], bool] = lambda: find_spec(LIBRARY) is not None,
    ) -> None:
        self._preset = preset
        self._environ = environ
        self._has_library = has_library
        # The protocol tells usage at the end of a turn; Claude's adapter passes on more.
        self.reports_usage_live = preset.claude
        self.holds_max_turns = preset.claude

    def accepts(self, agent: str) -> bool:
        return agent == PREFIX + self._preset.name

    def program(self) -> pb.AgentProgram:
        name = PREFIX + self._preset.name
        path = shutil.which(self._preset.command[0], path=self._environ.get("PATH"))
        if not self._has_library():
            return pb.AgentProgram(name=name, detail=NO_LIBRARY)
        if path is None:
            return pb.AgentProgram(name=name, detail=f"not found on PATH; {self._preset.install}")
        detail = path if self._logged_in() else f"{path}; no login found: {self._preset.login}"
        return pb.AgentProgram(name=name, available=True, version=npm_version(Path(path)), detail=detail)

    def _logged_in(self) -> bool:
        home = Path(self._environ.get("HOME", "/"))
        keys = [name for name in self._preset.credentials if name.endswith(("_KEY", "_TOKEN"))]
        return any(self._environ.get(name) for name in keys) or (home / self._preset.login_file).exists()

    def launch(self, request: pb.StartSessionRequest, resume: str) -> Launch:
        return _launch(request, resume, self._preset)

    def translator(self) -> HostTranslator:
        return HostTranslator()


class AcpCommandDriver:
    """Starts the host for a command line of the user's."""

    reports_usage_live = False
    holds_max_turns = False

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


def acp_drivers() -> list[AcpDriver | AcpCommandDriver]:
    """Returns a driver for each preset, then the one for everything else."""
    return [*map(AcpDriver, PRESETS), AcpCommandDriver()]


def npm_version(program: Path) -> str:
    """Returns the version of the package that an installed program belongs to; empty where none says so."""
    path = program.resolve()
    for folder in path.parents if "node_modules" in path.parts else ():
        try:
            package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(package, dict) and isinstance(package.get("version"), str):
            version: str = package["version"]
            return version
    return ""


def _launch(request: pb.StartSessionRequest, resume: str, agent: Agent) -> Launch:
    return Launch(
        # -P: a module of the worktree must not stand in for one of ours.
        arguments=(sys.executable, "-P", "-m", "agent_svc.agents.acp"),
        stdin=protocol.opening(request, resume),
        controlled=True,
        models=True,
        credentials=agent.credentials,
        own=agent.own,
        # Before the id stands what is told of the session's cost: hosts/acp/memory.py.
        own_session=lambda known: own_session(request, agent.reopen, known.partition(":")[2]),
    )

"""The Agent Client Protocol agents that Heddle knows by name, and how to start each of them."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent_svc.agents.acp import project_config
from agent_svc.agents.acp.kinds import PREFIX
from agent_svc.agents.acp.project_config import Adjustment, Repository
from agent_svc.agents.claude.environment import DEFAULT_RETRIES, LOGINS, QUIET, RETRIES, ROUTES, TELLING
from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from agent_svc.sandbox.own_folder import Credential, OwnFolder

# Google's logins are renewed without a new refresh token, so a session's copy can renew itself.
GEMINI_FOLDER: Final = OwnFolder(
    ".gemini",
    shown=(
        ".env",
        "GEMINI.md",
        "agents",
        "commands",
        "extensions",
        "google_accounts.json",
        "policies",
        "settings.json",
        "skills",
        "system.md",
        "trustedFolders.json",
    ),
    credentials=(Credential("oauth_creds.json"), Credential("gemini-credentials.json")),
    kept=("history/", "projects.json", "tmp/"),
)

# OpenCode stores sessions of all projects in one database, so each attempt has its own.
OPENCODE_FOLDERS: Final = (
    OwnFolder(".config/opencode", shown=("*",)),
    OwnFolder(".cache/opencode"),
    OwnFolder(
        ".local/share/opencode",
        shown=("bin", "plugin"),
        credentials=(Credential("auth.json"), Credential("account.json")),
        kept=("opencode*.db", "opencode*.db-wal", "storage/", "snapshot/"),
    ),
    OwnFolder(".local/state/opencode", shown=("model.json",)),
)
GOOSE_FOLDERS: Final = (
    OwnFolder(".local/share/goose", kept=("sessions/",)),
    OwnFolder(".local/state/goose"),
)

# OpenCode's tools that change nothing.
OPENCODE_READS: Final = ("read", "list", "glob", "grep", "todowrite", "todoread")


@dataclass(frozen=True)
class Agent:
    """How to start one agent, and how people install it and log in."""

    name: str
    command: tuple[str, ...]
    # One line that says how to install the agent.
    install: str
    # What to do if the agent is not logged in.
    login: str
    # The service's variables that the agent receives. Those that end in _KEY or _TOKEN log it in.
    login_variables: tuple[str, ...] = ()
    # A path in the user's home; the file exists after a login.
    login_file: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    # Used for variables that the service itself does not set.
    defaults: Mapping[str, str] = field(default_factory=dict)
    # The session mode in which the agent asks for permissions. Empty: its default mode asks.
    mode: str = ""
    # True: the agent accepts Claude Code's options.
    claude: bool = False
    own: tuple[OwnFolder, ...] = ()
    # The command that opens a session in a terminal; the session's id is appended. Empty: unknown.
    reopen: tuple[str, ...] = ()
    # True: the agent makes a sandbox of its own.
    user_namespaces: bool = False
    # Limits what a repository configures to what the plan grants. None: as much as the agent itself lets it.
    project: Callable[[Repository], Adjustment] | None = None
    # False: the agent reads and writes files itself, because it does not handle our answer for a missing file.
    files: bool = True


PRESETS: Final = (
    Agent(
        "claude-agent-acp",
        command=("claude-agent-acp",),
        install="run: npm install -g @agentclientprotocol/claude-agent-acp",
        login="run `claude` and /login, or set ANTHROPIC_API_KEY for the agent service",
        login_variables=(*LOGINS, *ROUTES, "CLAUDE_CODE_EXECUTABLE"),
        login_file=".claude/.credentials.json",
        environment={
            # Otherwise `@path` in a prompt or in a check's output attaches the file, even if it is denied.
            "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
            **QUIET,
            **TELLING,
        },
        defaults={RETRIES: DEFAULT_RETRIES},
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
        login_variables=(
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
        project=project_config.gemini,
        files=False,
    ),
    Agent(
        "opencode",
        command=("opencode", "acp"),
        install="run: npm install -g opencode-ai",
        login="run: opencode auth login",
        login_variables=(
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
            # Without this variable, OpenCode does everything without asking.
            "OPENCODE_PERMISSION": json.dumps({"*": "ask", **dict.fromkeys(OPENCODE_READS, "allow")}),
        },
        own=OPENCODE_FOLDERS,
        project=project_config.opencode,
    ),
    Agent(
        "codex-acp",
        command=("codex-acp", "-c", "skills.bundled.enabled=false"),
        install="run: npm install -g @zed-industries/codex-acp",
        login="run: codex login, or set OPENAI_API_KEY for the agent service",
        login_variables=("OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME"),
        login_file=".codex/auth.json",
        mode="read-only",
        own=(CODEX_FOLDER,),
        user_namespaces=True,
        project=project_config.codex_acp,
    ),
    Agent(
        "goose",
        command=("goose", "acp"),
        install="see https://block.github.io/goose/docs/getting-started/installation",
        login="run: goose configure",
        login_variables=(
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
    """Returns the agent for the name `agent` in a plan; raises ValueError for an invalid command line."""
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

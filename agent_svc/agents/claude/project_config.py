"""What a repository may configure for Claude Code, and the values that it can never change.

By default Claude reads the instructions of the repository (CLAUDE.md and rules), but none of its settings:
these contain variables that send the operator's key elsewhere, and commands that run without a permission.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_svc.agents.base.permissions import runs_anything
from heddle import pb

# The servers that a repository names.
SERVERS: Final = ".mcp.json"
MAX_SERVERS_BYTES: Final = 1 << 20

# Makes Claude read CLAUDE.md and rules of `directories`, which it otherwise reads together with the settings.
INSTRUCTIONS: Final = {"CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1"}

# Decide where requests and the key in them go, and what Claude reports to whom. In a repository's settings they
# are replaced by the operator's own values, or by none. An empty value counts as absent.
PINNED: Final = (
    "ALL_PROXY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_AWS_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_VERTEX_BASE_URL",
    "CLAUDE_CODE_ENABLE_TELEMETRY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NO_PROXY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

# Settings that name commands which hand out credentials. Empty: none.
HELPERS: Final = (
    "apiKeyHelper",
    "awsAuthRefresh",
    "awsCredentialExport",
    "gcpAuthRefresh",
    "otelHeadersHelper",
    "proxyAuthHelper",
)

# Added to the system prompt: without its settings, Claude does not find these files by itself.
NESTED: Final = "Instructions for parts of the project; read the file before you work in its folder:\n{names}"
MAX_NESTED: Final = 100

# Time limit of git in seconds.
PATIENCE: Final = 10


@dataclass(frozen=True)
class ProjectConfig:
    """What a session reads of its repository, as options of Claude Code."""

    sources: list[str]
    # For --settings, which takes precedence over the repository's own.
    settings: dict[str, Any]
    # The repository's servers, by name. Claude itself reads none from the repository.
    servers: dict[str, Any]
    directories: list[str]
    environment: dict[str, str]
    # Added to Claude's own system prompt, with that of the plan. Empty: nothing.
    prompt: str


def project_config(
    session: pb.StartSessionRequest, worktree: Path, environ: Mapping[str, str]
) -> ProjectConfig:
    """Returns what the plan allows the repository to configure. `environ` contains the operator's values."""
    granted = set(session.permissions.project_config)
    settings: dict[str, Any] = {
        "disableSkillShellExecution": not runs_anything(session.permissions),
        # Concerns hooks of settings, plugins and skills, not the SDK's own, which Heddle uses.
        "disableAllHooks": "hooks" not in granted,
    }
    servers = _servers(worktree / SERVERS) if "mcp" in granted else {}
    if granted & {"settings", "hooks"}:
        settings |= dict.fromkeys(HELPERS, "")
        settings["env"] = {name: environ.get(name, "") for name in PINNED}
        return ProjectConfig(["project"], settings, servers, [], {}, session.system_prompt)
    prompt = "\n\n".join(filter(None, (session.system_prompt, _nested(worktree))))
    return ProjectConfig([], settings, servers, [str(worktree)], dict(INSTRUCTIONS), prompt)


def _servers(path: Path) -> dict[str, Any]:
    """Returns the servers of a .mcp.json; empty if the file is missing or invalid."""
    try:
        with path.open("rb") as file:
            named = json.loads(file.read(MAX_SERVERS_BYTES))["mcpServers"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return (
        {name: each for name, each in named.items() if isinstance(each, dict)}
        if isinstance(named, dict)
        else {}
    )


def _nested(worktree: Path) -> str:
    """Returns the sentence about the CLAUDE.md files of the worktree's folders; empty if there are none."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--", "*/CLAUDE.md"],
            cwd=worktree,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = [
        name
        for name in done.stdout.split("\0")
        if name and name.isprintable() and name != ".claude/CLAUDE.md"
    ]
    names = "\n".join(f"- {name}" for name in found[:MAX_NESTED])
    return NESTED.format(names=names) if names else ""

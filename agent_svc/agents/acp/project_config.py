"""What a repository may configure for the preset agents: their program's arguments and variables."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent_svc.agents.codex import project_config as codex
from agent_svc.agents.codex.home import CodexHome

SETTINGS: Final = "settings"

# OpenCode's own variable for settings, and the instructions that it reads only together with the project's settings.
OPENCODE_SETTINGS: Final = "OPENCODE_CONFIG_CONTENT"
OPENCODE_INSTRUCTIONS: Final = ("AGENTS.md", "CLAUDE.md", "CONTEXT.md")

OPENCODE_PLUGINS: Final = (".opencode/plugin", ".opencode/plugins")
OPENCODE_FILES: Final = (
    "opencode.json",
    "opencode.jsonc",
    ".opencode/opencode.json",
    ".opencode/opencode.jsonc",
)
PLUGIN: Final = b"plugin"
OPENCODE_REFUSED: Final = (
    "OpenCode would run the plugins of the repository ({name}): allow them in the plan with"
    " permissions.project_config: [settings], or remove them"
)


class Repository(NamedTuple):
    """A worktree, the names that the plan grants it, and the environment of the agent."""

    granted: frozenset[str]
    worktree: Path
    environ: Mapping[str, str]


class Adjustment(NamedTuple):
    """Added to the command and to the environment of an agent."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    # Why the agent must not be started in the repository. Empty: it may be.
    refusal: str = ""


def gemini(repository: Repository) -> Adjustment:
    """Trusts the worktree or not, whatever the user trusts."""
    trusted = SETTINGS in repository.granted
    return Adjustment(environment={"GEMINI_CLI_TRUST_WORKSPACE": str(trusted).lower()})


def codex_acp(repository: Repository) -> Adjustment:
    """Distrusts what the user trusts; the adapter then does not read AGENTS.md."""
    named = repository.granted | {"mcp"} if SETTINGS in repository.granted else frozenset[str]()
    return Adjustment(tuple(codex.arguments(CodexHome(repository.environ), repository.worktree, named)))


def opencode(repository: Repository) -> Adjustment:
    """Disables the project's settings; names its instructions in the operator's settings.

    Version 1.18 runs a project's plugins even so: it is not started where there are any.
    """
    if SETTINGS in repository.granted:
        return Adjustment()
    if plugins := _plugins(repository.worktree):
        return Adjustment(refusal=OPENCODE_REFUSED.format(name=plugins))
    environment = {"OPENCODE_DISABLE_PROJECT_CONFIG": "1"}
    found = next(
        (path for name in OPENCODE_INSTRUCTIONS if (path := repository.worktree / name).is_file()), None
    )
    settings = _settings(repository.environ.get(OPENCODE_SETTINGS, ""))
    if found is not None and settings is not None:
        named = settings.get("instructions")
        settings["instructions"] = [*(named if isinstance(named, list) else []), os.fspath(found)]
        environment[OPENCODE_SETTINGS] = json.dumps(settings)
    return Adjustment(environment=environment)


def _plugins(worktree: Path) -> str:
    """Returns a file or folder of the project with plugins; empty if there is none."""
    for name in OPENCODE_PLUGINS:
        if os.path.lexists(worktree / name):
            return name
    for name in OPENCODE_FILES:
        with suppress(OSError):
            if (worktree / name).is_file() and PLUGIN in (worktree / name).read_bytes():
                return name
    return ""


def _settings(text: str) -> dict[str, Any] | None:
    """Returns the operator's settings; None if they are not plain JSON."""
    try:
        settings = json.loads(text or "{}")
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None

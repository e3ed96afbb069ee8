"""What a repository may configure for codex, as arguments of its program.

codex reads the .codex folder of a repository that its user has trusted, and then starts the servers that
are named there outside of its sandbox. Trust for a checkout also holds for its worktrees, and was given to what
the user works on: not to what agents leave on a branch.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent_svc.agents.codex.home import CodexHome
from agent_svc.sandbox.repository import checkout

CONFIG: Final = Path(".codex", "config.toml")
MAX_BYTES: Final = 1 << 20

# The files of instructions, the first of which codex reads; it reads none in a folder that is not trusted.
INSTRUCTIONS: Final = ("AGENTS.override.md", "AGENTS.md")
MAX_INSTRUCTIONS_BYTES: Final = 32 << 10
LEAD: Final = "# AGENTS.md instructions for {folder}\n\n{text}"


def arguments(home: CodexHome, worktree: Path, granted: frozenset[str]) -> list[str]:
    """Returns the arguments that let the repository configure what is in `granted` and nothing else."""
    servers = _servers(worktree)
    if "settings" in granted:
        # Tables, because codex does not read quotes in a key.
        settings: dict[str, object] = {"projects": {str(worktree): {"trust_level": "trusted"}}}
        if "mcp" not in granted and servers:
            settings["mcp_servers"] = {name: {"enabled": False} for name in servers}
        # A repository cannot widen codex's sandbox.
        settings |= {f"sandbox_workspace_write.{name}": value for name, value in home.sandbox.items()}
        return _options(settings)
    found = _options(
        {"projects": {path: {"trust_level": "untrusted"} for path in home.trusted}} if home.trusted else {}
    )
    return found + (_options({"mcp_servers": servers}) if "mcp" in granted and servers else [])


def instructions(home: CodexHome, worktree: Path, granted: frozenset[str]) -> str:
    """Returns the instructions of the repository that codex itself does not read; empty if it reads them."""
    if "settings" in granted or home.trusted.isdisjoint(_places(worktree)):
        return ""
    for name in INSTRUCTIONS:
        text = _read(worktree / name, MAX_INSTRUCTIONS_BYTES).decode(errors="replace").strip()
        if text:
            return LEAD.format(folder=worktree, text=text)
    return ""


def _places(worktree: Path) -> set[str]:
    """Returns the folders whose trust codex applies to `worktree`: itself and the checkout that it belongs to."""
    found = checkout(worktree)
    folders = [worktree, *([found.common.parent] if found else [])]
    return {str(path) for folder in folders for path in (folder, folder.resolve())}


def _servers(worktree: Path) -> dict[str, Any]:
    """Returns the servers that the repository names; empty if its configuration is missing or invalid."""
    try:
        named = tomllib.loads(_read(worktree / CONFIG, MAX_BYTES).decode()).get("mcp_servers")
    except (ValueError, RecursionError):
        return {}
    return (
        {name: each for name, each in named.items() if isinstance(each, dict)}
        if isinstance(named, dict)
        else {}
    )


def _read(path: Path, limit: int) -> bytes:
    """Returns the beginning of a regular file; empty if it is missing or something else."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def _options(settings: Mapping[str, object]) -> list[str]:
    return [word for key, value in settings.items() for word in ("-c", f"{key}={toml(value)}")]


def toml(value: object) -> str:
    """Returns a value as TOML on one line; JSON's strings, numbers and booleans are valid TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)

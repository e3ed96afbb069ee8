"""The folder of Claude Code in its user's home."""

import os
import re
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agent_svc.sandbox.own_folder import Credential, OwnFolder

# Claude shortens the name of a project's folder to this length, and adds a hash.
_LONGEST: Final = 200

_TMP: Final = Path("/tmp")  # noqa: S108 (where the program stores them)

# Answers one word, without settings, tools or servers: before a call, Claude renews a login that expires in five minutes.
_RENEW: Final = (
    "--print",
    "Answer with the word ok.",
    "--model=haiku",
    "--max-turns=1",
    "--setting-sources=",
    "--strict-mcp-config",
    "--tools=",
    "--no-session-persistence",
)


def _expires(content: Mapping[str, Any]) -> float | None:
    login = content.get("claudeAiOauth")
    milliseconds = login.get("expiresAt") if isinstance(login, dict) else None
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _renew() -> tuple[str, ...]:
    spec = find_spec("claude_agent_sdk")
    bundled = Path(spec.origin).parent / "_bundled" / "claude" if spec and spec.origin else None
    program = shutil.which("claude") or (str(bundled) if bundled and bundled.exists() else "")
    return (program, *_RENEW) if program else ()


def records(session_id: str, worktree: Path) -> tuple[str, ...]:
    """Returns the globs of a session's transcript, its sub-agents and its list of tasks."""
    project = re.sub(r"[^A-Za-z0-9]", "-", str(worktree.resolve()))
    if len(project) > _LONGEST:
        project = f"{project[:_LONGEST]}-*"
    return (
        f"projects/{project}/{session_id}.jsonl",
        f"projects/{project}/{session_id}/",
        f"tasks/{session_id}/",
    )


# The user's settings, skills and hooks are not shown: Heddle's sessions do not use them. .claude.json names the account.
CLAUDE_FOLDER: Final = OwnFolder(
    ".claude",
    variable="CLAUDE_CONFIG_DIR",
    shown=(".claude.json",),
    credentials=(
        Credential(
            ".credentials.json",
            renewing=(("claudeAiOauth", "refreshToken"),),
            expires=_expires,
            renew=_renew,
            unless=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        ),
    ),
    records=records,
)


def result_folders(worktree: Path, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Returns the existing folders in which Claude Code stores long results of its tools, resolved."""
    own = re.sub(r"[^A-Za-z0-9]", "-", str(worktree.resolve()))
    home = Path(environment.get("CLAUDE_CONFIG_DIR") or Path(environment.get("HOME", "/"), ".claude"))
    found = (_TMP / f"claude-{os.getuid()}" / own, home / "projects" / own)
    return tuple(path.resolve() for path in found if path.exists())

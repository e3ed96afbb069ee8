"""The folder of codex in its user's home."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from agent_svc.sandbox.own_folder import Credential, OwnFolder

# codex renews a login that it renewed more than eight days ago, at its next start. Seconds, with a margin.
_LIFETIME: Final = 8 * 24 * 3600 + 600

_RENEW: Final = (
    "codex",
    "exec",
    "--skip-git-repo-check",
    "--ephemeral",
    "--sandbox=read-only",
    "--disable=shell_tool",
    "--disable=unified_exec",
    "Answer with the word ok.",
)


def _expires(content: Mapping[str, Any]) -> float | None:
    # Without tokens, the file contains an API key, which does not expire.
    if not isinstance(content.get("tokens"), dict):
        return None
    try:
        return datetime.fromisoformat(str(content.get("last_refresh"))).timestamp() + _LIFETIME
    except ValueError:
        return None


def records(session_id: str, worktree: Path) -> tuple[str, ...]:  # noqa: ARG001 (codex sorts its records by day)
    """Returns the glob of a session's record."""
    return (f"sessions/[0-9]*/[0-9]*/[0-9]*/rollout-*-{session_id}.jsonl",)


CODEX_FOLDER: Final = OwnFolder(
    ".codex",
    variable="CODEX_HOME",
    shown=(
        ".env",
        "*.config.toml",
        "AGENTS.md",
        "AGENTS.override.md",
        "config.toml",
        "hooks.json",
        "managed_config.toml",
        "plugins",
        "prompts",
        "requirements.toml",
        "rules",
        "skills",
    ),
    credentials=(
        Credential(
            "auth.json",
            renewing=(("tokens", "refresh_token"),),
            expires=_expires,
            renew=lambda: _RENEW,
            unless=("CODEX_API_KEY",),
        ),
    ),
    records=records,
)

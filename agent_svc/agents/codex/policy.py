"""Translates Heddle's permissions to codex's sandbox, which does not check single calls. Pure.

`codex exec` never asks. Its sandbox lets commands read, and write to the worktree and the
session's own temporary folder. It refuses network access and all other writes.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from heddle import pb
from heddle.permissions.permission_patterns import Pattern

# If one of these tools is denied completely, codex may not write at all.
WRITERS: Final = ("Write", "Edit")

_SWITCHES: Final = {
    "Bash": ("--disable", "shell_tool", "--disable", "unified_exec"),
    "WebSearch": ("-c", 'web_search="disabled"'),
}


class Confinement(NamedTuple):
    """The arguments for codex, and the `deny` patterns that codex cannot enforce."""

    arguments: tuple[str, ...]
    unkept: tuple[str, ...]


def confine(permissions: pb.Permissions) -> Confinement:
    """Returns the confinement that enforces `permissions` as far as codex can."""
    denied = [tool for tool in (*WRITERS, *_SWITCHES) if _denies(permissions.deny, tool)]
    mode = "read-only" if any(tool in denied for tool in WRITERS) else "workspace-write"
    arguments = [
        "-c",
        'approval_policy="never"',
        "-c",
        f'sandbox_mode="{mode}"',
        # All sessions share /tmp; each session has its own TMPDIR.
        "-c",
        "sandbox_workspace_write.exclude_slash_tmp=true",
    ]
    for tool, switch in _SWITCHES.items():
        arguments += switch if tool in denied else ()
    unkept = [text for text in permissions.deny if not any(_is_about(text, tool) for tool in denied)]
    return Confinement(tuple(arguments), tuple(unkept))


def _denies(deny: Iterable[str], tool: str) -> bool:
    return any(_is_about(text, tool) for text in deny)


def _is_about(text: str, tool: str) -> bool:
    """Returns whether the pattern covers every call of the tool; a malformed pattern does."""
    try:
        pattern = Pattern.parse(text)
    except ValueError:
        return True
    return not pattern.argument and pattern.denies(tool, "")

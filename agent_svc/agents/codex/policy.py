"""Heddle's permissions as codex can keep them: by its sandbox, not call by call. Pure.

`codex exec` never asks. Its sandbox lets commands read, and write in the worktree
and the session's own temporary folder; it refuses the network and all other writes.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from heddle import pb
from heddle.plan.permission_patterns import Pattern

# One of these denied as a whole: codex may write nothing.
WRITERS: Final = ("Write", "Edit")

_SWITCHES: Final = {
    "Bash": ("--disable", "shell_tool", "--disable", "unified_exec"),
    "WebSearch": ("-c", 'web_search="disabled"'),
}


class Confinement(NamedTuple):
    """The arguments for codex, and the patterns of `deny` that it cannot keep."""

    arguments: tuple[str, ...]
    unkept: tuple[str, ...]


def confine(permissions: pb.Permissions) -> Confinement:
    """Returns what confines codex as `permissions` say, as far as that goes."""
    denied = [tool for tool in (*WRITERS, *_SWITCHES) if _denies(permissions.deny, tool)]
    mode = "read-only" if any(tool in denied for tool in WRITERS) else "workspace-write"
    arguments = [
        "-c",
        'approval_policy="never"',
        "-c",
        f'sandbox_mode="{mode}"',
        # /tmp belongs to all sessions; each has a TMPDIR of its own.
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
    """Says whether the pattern is about every call of the tool; a malformed one is."""
    try:
        pattern = Pattern.parse(text)
    except ValueError:
        return True
    return not pattern.argument and pattern.denies(tool, "")

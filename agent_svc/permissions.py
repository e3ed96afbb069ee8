"""What an agent may do without asking: one call of a tool against a policy. Pure."""

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from heddle import pb
from heddle.plan.permission_patterns import COMMAND_TOOLS, Pattern, parts


class Verdict(Enum):
    """What becomes of a call."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Decision(NamedTuple):
    """The verdict, and why in plain words: for a denied agent to read."""

    verdict: Verdict
    reason: str


_DEFAULTS: Final = {
    pb.PERMISSION_DECISION_ALLOW: Verdict.ALLOW,
    pb.PERMISSION_DECISION_DENY: Verdict.DENY,
}


def decide(
    permissions: pb.Permissions, tool: str, target: str, *, writes_inside: bool, reads: bool
) -> Decision:
    """Returns what the policy says of one call.

    `target` is the file relative to the worktree (absolute outside of it), the
    command, or the URL. `writes_inside`: it changes a file of the worktree and
    nothing else; `reads`: it changes nothing.
    """
    for text, pattern in _patterns(permissions.deny):
        if pattern is None or pattern.denies(tool, target):
            return Decision(Verdict.DENY, f"the plan denies {text}")
    if allowing := _allowing(permissions.allow, tool, target):
        return Decision(Verdict.ALLOW, f"the plan allows {allowing}")
    if reads or writes_inside:
        return Decision(Verdict.ALLOW, "reading and writing inside the worktree is always allowed")
    verdict = _DEFAULTS.get(permissions.default, Verdict.ASK)
    return Decision(verdict, f"the plan's default is to {verdict.value}")


def _allowing(allow: Iterable[str], tool: str, target: str) -> str:
    """Returns the patterns that allow the call; empty where some part of it is not allowed."""
    known = [(text, pattern) for text, pattern in _patterns(allow) if pattern is not None]
    whole = next(
        (text for text, pattern in known if not pattern.argument and pattern.allows(tool, target)), ""
    )
    if whole:
        return whole
    pieces = parts(target) if tool in COMMAND_TOOLS else [target]
    if not pieces:
        return ""
    found = [next((text for text, pattern in known if pattern.allows(tool, piece)), "") for piece in pieces]
    return ", ".join(dict.fromkeys(found)) if all(found) else ""


def _patterns(texts: Iterable[str]) -> list[tuple[str, Pattern | None]]:
    """Returns the patterns; None for a malformed one, which allows nothing and denies everything."""
    found: list[tuple[str, Pattern | None]] = []
    for text in texts:
        try:
            found.append((text, Pattern.parse(text)))
        except ValueError:
            found.append((text, None))
    return found

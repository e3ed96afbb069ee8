"""Checks one tool call against the policy that says what an agent may do without asking. Pure."""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from heddle import pb
from heddle.permissions.permission_patterns import COMMAND_TOOLS, Denial, Pattern, parts


class Verdict(Enum):
    """The decision about a call."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class Decision(NamedTuple):
    """The verdict and its reason, in plain language: an agent reads it if its call is denied."""

    verdict: Verdict
    reason: str


_DEFAULTS: Final = {
    pb.PERMISSION_DECISION_ALLOW: Verdict.ALLOW,
    pb.PERMISSION_DECISION_DENY: Verdict.DENY,
}


def decide(
    permissions: pb.Permissions, tools: Sequence[str], target: str, *, writes_inside: bool, reads: bool
) -> Decision:
    """Returns the policy's decision about one call.

    `tools` are the names that patterns can match: the tool's own name first, then the name of
    its kind, such as "Bash" for every tool that runs commands. `target` is the file relative to
    the worktree (absolute if outside), the command, or the URL. `writes_inside`: the call changes
    a file in the worktree and nothing else; `reads`: it changes nothing.
    """
    doubtful = ""
    for text, pattern in _patterns(permissions.deny):
        denial = Denial.YES if pattern is None else max(pattern.denial(tool, target) for tool in tools)
        if denial is Denial.YES:
            return Decision(Verdict.DENY, f"the plan denies {text}")
        if denial is Denial.MAYBE:
            doubtful = doubtful or text
    if doubtful:
        return _doubt(permissions, tools, target, doubtful)
    if allowing := _allowing(permissions.allow, tools, target):
        return Decision(Verdict.ALLOW, f"the plan allows {allowing}")
    if reads or writes_inside:
        return Decision(Verdict.ALLOW, "reading and writing inside the worktree is always allowed")
    verdict = _DEFAULTS.get(permissions.default, Verdict.ASK)
    return Decision(verdict, f"the plan's default is to {verdict.value}")


def runs_anything(permissions: pb.Permissions) -> bool:
    """Returns whether every command may run without asking; False if a pattern of `deny` is about commands."""
    if any(
        pattern is None or pattern.tool in COMMAND_TOOLS or "*" in pattern.tool
        for _, pattern in _patterns(permissions.deny)
    ):
        return False
    return decide(permissions, ["Bash"], "$(any)", writes_inside=False, reads=False).verdict is Verdict.ALLOW


def _doubt(permissions: pb.Permissions, tools: Sequence[str], target: str, denied: str) -> Decision:
    """Returns the decision about a call that may or may not be denied: only a person can allow it, by its exact text."""
    for text, pattern in _patterns(permissions.allow):
        if pattern is not None and any(pattern.is_exactly(tool, target) for tool in tools):
            return Decision(Verdict.ALLOW, f"the plan allows {text}")
    reason = f"the plan denies {denied}, and whether this call does that is only known when it runs"
    refused = permissions.default == pb.PERMISSION_DECISION_DENY
    return Decision(Verdict.DENY if refused else Verdict.ASK, reason)


def _allowing(allow: Iterable[str], tools: Sequence[str], target: str) -> str:
    """Returns the patterns that allow the call; empty if any part of the call is not allowed."""
    known = [(text, pattern) for text, pattern in _patterns(allow) if pattern is not None]
    whole = next((text for text, pattern in known if _allows_whole(pattern, tools, target)), "")
    if whole:
        return whole
    pieces = [target] if COMMAND_TOOLS.isdisjoint(tools) else parts(target)
    if not pieces:
        return ""
    found: dict[str, None] = {}
    for piece in dict.fromkeys(pieces):
        allowing = next((text for text, pattern in known if _allows(pattern, tools, piece)), "")
        if not allowing:
            return ""
        found[allowing] = None
    return ", ".join(found)


def _allows_whole(pattern: Pattern, tools: Sequence[str], target: str) -> bool:
    if pattern.argument:
        return any(pattern.is_exactly(tool, target) for tool in tools)
    return _allows(pattern, tools, target)


def _allows(pattern: Pattern, tools: Sequence[str], target: str) -> bool:
    return any(pattern.allows(tool, target) for tool in tools)


def _patterns(texts: Iterable[str]) -> list[tuple[str, Pattern | None]]:
    """Returns the parsed patterns; None for a malformed pattern, which allows nothing and denies everything."""
    found: list[tuple[str, Pattern | None]] = []
    for text in texts:
        try:
            found.append((text, Pattern.parse(text)))
        except ValueError:
            found.append((text, None))
    return found

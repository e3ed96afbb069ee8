"""Parses the output of `git push --porcelain` for the reasons why a remote refused branches. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

# The most characters to keep of the messages from git and the remote's hooks.
_MOST_CHARACTERS: Final = 1_000

_BEHIND: Final = ("fetch first", "non-fast-forward", "stale info")

# Another push won, as the remote itself says it.
_COLLISIONS: Final = ("cannot lock ref", "failed to update ref", "incorrect old value", "already exists")

_PERMISSIONS: Final = (
    *("Permission", "permission", "denied", "403", "could not read Username", "Authentication failed"),
    *("read-only", "not allowed", "not authorized"),
)

# Rules of a remote, and what its version cannot do: trying again does not help.
_RULES: Final = re.compile(
    r"hook declined|protected|prohibited|hidden ref|refusing to |[Pp]ermission|denied|\b40[13]\b|could not read Username"
    r"|Authentication failed|read-only|not allowed|not authorized|does not support"
)

_ADVICE: Final = (
    (
        ("'refs/heads/heddle' exists", "refs/heads/heddle'; cannot create", "directory file conflict"),
        "A branch called heddle at the remote blocks the branches heddle/…: rename it there",
    ),
    (_BEHIND, "Someone else moved the branch at the remote; the next push merges it"),
    (
        ("protected branch", "hook declined"),
        "A rule of the remote refuses it: allow the worker's account to push this branch, or name another in merge_into",
    ),
    (
        _PERMISSIONS,
        "The worker's own git must be allowed to push: try git push there, as the user of the service",
    ),
)


def read(printed: str, said: str, wanted: Sequence[str]) -> dict[str, str]:
    """Returns the reason for each refused ref, from stdout and stderr of a failed push.

    If git names no ref, the push failed earlier, and all `wanted` refs count as refused.
    """
    found = dict(_refused(printed))
    words = " ".join(said.split())[:_MOST_CHARACTERS]
    if not found:
        found = dict.fromkeys(wanted, words or "git push failed without a message")
        return {ref: _advised(why) for ref, why in found.items()}
    return {ref: _advised(f"{why} ({words})" if words else why) for ref, why in found.items()}


def is_behind(said: str) -> bool:
    """Returns whether the remote has commits that are not known here."""
    return any(word in said for word in _BEHIND)


def is_collision(said: str) -> bool:
    """Returns whether a ref at the remote is not where this push expected it."""
    return is_behind(said) or any(word in said for word in _COLLISIONS)


def is_forbidden(said: str) -> bool:
    """Returns whether a rule of the remote, or the account's rights there, refused a push."""
    return _RULES.search(said) is not None


def is_unreachable(said: str) -> bool:
    """Returns whether the remote may accept the same push later: it refused it for no reason of its own."""
    return not (is_collision(said) or is_forbidden(said))


def _refused(printed: str) -> Iterator[tuple[str, str]]:
    # A flag, source:target and a summary, separated by tabs; a refused ref has the flag "!".
    for line in printed.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if flag == "!" and summary:
            yield names.partition(":")[2], summary


def _advised(why: str) -> str:
    for signs, advice in _ADVICE:
        if any(sign in why for sign in signs):
            return f"{why}. {advice}."
    return why

"""Decides which pushes of another worker are accepted. Pure: it reads the commands with which a push begins.

Everything that is not named here is refused.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from heddle.names import KEY, EpicName
from worktree_svc.git import refs
from worktree_svc.served.grants import Grant

# The most bytes of the commands of a push. Heddle's own have less than one.
MOST_BYTES: Final = 16 << 10

_COMMAND: Final = re.compile(
    rb"([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([^\x00-\x20\x7f]+)\n?"
)
_LENGTH: Final = re.compile(rb"[0-9a-f]{4}")
_ABSENT: Final = re.compile(r"0+")

# TASK/N or TASK@N/N, below the epic's attempts.
_ATTEMPT: Final = re.compile(rf"{KEY.pattern}(@[1-9])?/[1-9][0-9]*")


class MalformedPushError(Exception):
    """A push does not begin with commands in the form that Heddle's git sends."""


class Command(NamedTuple):
    """The move of one ref. A commit of zeros: the ref does not exist."""

    old: str
    new: str
    ref: str

    @property
    def deletes(self) -> bool:
        return _ABSENT.fullmatch(self.new) is not None


class Commands(NamedTuple):
    """The commands of a push, what its client can do, and the bytes that they take."""

    moves: Sequence[Command]
    capabilities: frozenset[str]
    length: int


def commands(begin: bytes) -> Commands | None:
    """Returns the commands of a push; None if `begin` does not contain all of them yet.

    Raises MalformedPushError, also for what git would allow: certificates, and the boundaries of shallow clones.
    """
    moves: list[Command] = []
    capabilities: frozenset[str] = frozenset()
    at = 0
    while True:
        if at > MOST_BYTES:
            raise MalformedPushError("it names too many refs")
        head = begin[at : at + 4]
        if len(head) < 4:
            return None
        if not _LENGTH.fullmatch(head):
            raise MalformedPushError("it does not begin with git's packets")
        size = int(head, 16)
        if size == 0:
            return Commands(moves, capabilities, at + 4)
        line = begin[at + 4 : at + size]
        if size > 4 and len(line) < size - 4:
            if at + size > MOST_BYTES:
                raise MalformedPushError("it names too many refs")
            return None
        named, _, told = line.partition(b"\0")
        found = _COMMAND.fullmatch(named)
        # Only the first command has capabilities.
        if found is None or (told and moves):
            raise MalformedPushError("it contains something else than moves of refs")
        if not moves:
            capabilities = frozenset(told.decode(errors="replace").split())
        old, new, ref = (part.decode(errors="replace") for part in found.groups())
        moves.append(Command(old, new, ref))
        at += size


def refusal(grant: Grant, push: Commands, claimed: int) -> str:
    """Returns why a push is refused; empty: it is accepted.

    `claimed` is the generation that has the epic's claim now; 0: none. git compares the claim itself when it moves it,
    so a claim that moves meanwhile refuses the push too.
    """
    if not push.moves:
        # git asks with an empty push whether it may push, before it sends much.
        return ""
    if not grant.generation:
        return "this token may only read"
    if claimed > grant.generation:
        return f"{grant.epic} has moved to another place (generation {claimed})"
    each_alone = (_refused(grant.epic, move) for move in push.moves)
    return next(filter(None, each_alone), "") or _refused_together(grant.epic, push)


def _refused_together(epic: EpicName, push: Commands) -> str:
    """Returns why the moves of a push are refused, each of which is allowed; empty: they are not."""
    named = [move.ref for move in push.moves]
    if len(set(named)) != len(named):
        return "a ref is named twice"
    if {refs.accepted_ref(epic), refs.branch_ref(epic.branch)}.isdisjoint(named):
        return ""
    if refs.claim_ref(epic) not in named:
        return f"{epic} moves only together with its claim"
    return "" if "atomic" in push.capabilities else f"{epic} moves only in an atomic push"


def _refused(epic: EpicName, move: Command) -> str:
    """Returns why a ref of a push is refused; empty: it is the epic's own, and may be moved like this."""
    if move.ref in {refs.accepted_ref(epic), refs.branch_ref(epic.branch)}:
        return ""
    kept = f"refs/heddle/attempts/{epic.run}/{epic.epic}/"
    is_kept = move.ref.startswith(kept) and _ATTEMPT.fullmatch(move.ref.removeprefix(kept))
    if move.ref != refs.claim_ref(epic) and not is_kept:
        return f"{move.ref} is not a ref of {epic}"
    return f"{move.ref} cannot be removed" if move.deletes else ""


def hidden_from_push(grant: Grant) -> list[str]:
    """Returns the values of git's setting receive.hideRefs: the branches of other runs, which may be thousands.

    git lists all other refs at the start of each push. A place can read them all the same.
    """
    return ["refs/heads/heddle", f"!refs/heads/heddle/{grant.epic.run}"]


def readable_refs(grant: Grant) -> list[str]:
    """Returns the values of git's setting transfer.hideRefs: all refs but branches, tags and those of the grant's run."""
    run = grant.epic.run
    kinds = ("claim", "accepted", "attempts", "resolutions")
    return ["refs", "!refs/heads", "!refs/tags", *(f"!refs/heddle/{kind}/{run}" for kind in kinds)]

"""A project's remote in memory: it compares and swaps the claim of each epic, as `worktree_svc/projects/claims.py` has it do.

What arrives here was sent at some earlier time, by a place that may not exist any more.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

from heddle.names import EpicName


class Disk(NamedTuple):
    """What a place has its clone on. A wiped disk has another number."""

    worker: str
    number: int


class Claim(NamedTuple):
    """A claim at the remote."""

    # Numbers of the claim itself, and of the last commit that was accepted with it; 0: none.
    commit: int
    generation: int
    holder: Disk | None
    accepted: int


NOTHING = Claim(0, 0, None, 0)


class Push(NamedTuple):
    """An atomic push of a claim and its accepted commit: it applies if the remote has the claim `before`."""

    epic: EpicName
    before: Claim
    new: Claim
    # False: the push takes the claim, and accepts no commit.
    accepts: bool


@dataclass(frozen=True)
class Defects:
    """What the places and the remote do wrong on purpose."""

    # An acceptance compares the accepted commit only.
    without_claim: bool = False
    # The scheduler records an acceptance without waiting for its push.
    before_push: bool = False
    # A new place gets the number of the one before it.
    reused_generation: bool = False


class FencedRemote:
    """The claims of all epics, and every violation that a push shows."""

    def __init__(self, defects: Defects) -> None:
        self.violations: list[str] = []
        self.refused = 0
        self._defects = defects
        self._claims: dict[EpicName, Claim] = {}
        self._commits = itertools.count(1)
        # Accepted commits that have arrived.
        self._objects = {0}
        # The worker that has used each generation.
        self._owners: dict[tuple[EpicName, int], str] = {}

    def new_commit(self) -> int:
        """Returns the number of a commit that exists only where it was made."""
        return next(self._commits)

    def read(self, epic: EpicName) -> Claim:
        """Returns the epic's claim."""
        return self._claims.get(epic, NOTHING)

    def has(self, commit: int) -> bool:
        """Returns whether an accepted commit has arrived."""
        return commit in self._objects

    def receive(self, push: Push) -> bool:
        """Applies a push, or refuses it; returns whether it was applied."""
        found = self.read(push.epic)
        if self._defects.without_claim and push.accepts:
            fits = found.accepted == push.before.accepted
        else:
            fits = found.commit == push.before.commit
        if not fits:
            self.refused += 1
            return False
        self._check(push, found)
        self._claims[push.epic] = push.new
        self._objects.add(push.new.accepted)
        return True

    def _check(self, push: Push, found: Claim) -> None:
        if push.accepts:
            if (found.generation, found.holder) != (push.new.generation, push.new.holder):
                self._broken(
                    push, f"has a commit of {_place(push.new)} accepted while {_place(found)} has its claim"
                )
            return
        if not self.has(push.new.accepted):
            self._broken(push, f"lost its accepted commit {push.new.accepted}, which the remote never got")
        worker = push.new.holder.worker if push.new.holder else ""
        if self._owners.setdefault((push.epic, push.new.generation), worker) != worker:
            self._broken(push, f"has two places of generation {push.new.generation}")

    def _broken(self, push: Push, what: str) -> None:
        self.violations.append(f"{push.epic} {what}")


def _place(claim: Claim) -> str:
    return f"{claim.holder.worker if claim.holder else 'no place'} in generation {claim.generation}"

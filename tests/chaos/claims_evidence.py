"""Checks the claims at a remote: the history of the places of each epic, and of what was accepted there."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from heddle.names import EpicName
from tests.chaos.evidence import Records
from tests.support.repositories import git
from worktree_svc.git import refs

_FIELDS: Final = re.compile(r"^(generation|holder|accepted): (\S*)$", re.MULTILINE)


class Link(NamedTuple):
    """A claim of the chain."""

    generation: int
    holder: str
    accepted: str


def violations(remote: Path, records: Records) -> Iterator[str]:
    """Yields what is wrong with the claims of all epics that have one."""
    listed = git(remote, "for-each-ref", "--format=%(refname)", "refs/heddle/claim").split()
    for epic, commits in records.accepted():
        ref = refs.claim_ref(epic)
        if ref in listed:
            yield from wrong(epic, list(_chain(remote, ref)), commits)
        elif commits:
            yield f"{epic} has accepted commits and no claim"


def _chain(remote: Path, ref: str) -> Iterator[Link]:
    log = git(remote, "log", "--reverse", "--format=%B%x00", ref)
    for message in filter(str.strip, log.split("\0")):
        found = dict(_FIELDS.findall(message))
        yield Link(int(found["generation"]), found["holder"], found["accepted"])


def wrong(epic: EpicName, chain: list[Link], commits: list[str]) -> Iterator[str]:
    """Each place begins at the last recorded commit, and only the place that has the claim adds one."""
    recorded = {"", *commits}
    for before, link in itertools.pairwise(chain):
        if link.generation < before.generation:
            yield f"{epic} went back from generation {before.generation} to {link.generation}"
        if link.holder != before.holder and link.accepted not in recorded:
            yield f"{epic} continued at {link.accepted}, which was never recorded as accepted"
    # A commit is accepted by the link in which it first appears.
    first = list(dict.fromkeys(link.accepted for link in chain if link.accepted in commits))
    if first != commits:
        yield f"{epic} has accepted {commits}, and its claims have {first}"
    # A holder is a place with one disk, and never gets a claim back that another one has taken.
    holders = [holder for holder, _ in itertools.groupby(chain, lambda link: link.holder)]
    if len(set(holders)) < len(holders):
        yield f"{epic} had commits of a place accepted after another one had taken its claim"

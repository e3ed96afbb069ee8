"""Removes the refs that placed epics of ended runs have left at the remote of a project by URL.

A remote lists all of its refs at the start of each push, so old ones slow down every acceptance. Only refs whose commits
stay reachable at the remote are removed: from another branch or, for the claim and the accepted commit, from the epic's own.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb, urls
from heddle.names import EpicName, RunName
from worktree_svc.git import push_refusals, refs
from worktree_svc.git.process.command import Output, decode
from worktree_svc.projects import branch_records, known_branches
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds after which a call to an unresponsive remote is abandoned.
_SECONDS: Final = 300.0

# Refs that one push removes: each is an argument of git.
_AT_ONCE: Final = 100

_OPTIONS: Final = ("--porcelain", "--no-verify", "--recurse-submodules=no", "--no-follow-tags")

# What other places continue from, below an epic's key.
_KEPT: Final = ("refs/heddle/attempts/", "refs/heddle/resolutions/")

_HEADS: Final = "refs/heads/"


class Removal(NamedTuple):
    """How many refs were removed, and by ref why others could not be."""

    removed: int
    kept: Mapping[str, str]


class Proof(NamedTuple):
    """What is known about commits at the remote."""

    # Those that a branch of no epic contains.
    merged: Collection[str]
    # Those that the epic's own branch contains.
    on_branch: Collection[str]


def removable(at: Mapping[str, str], epic: EpicName, proof: Proof) -> list[str]:
    """Returns the refs of an ended epic that nothing needs, of those that it has at the remote. Pure.

    The accepted commit is last: if a removal is interrupted, it still shows that the epic was merged.
    """
    claim, accepted_ref, branch_ref = (
        refs.claim_ref(epic),
        refs.accepted_ref(epic),
        refs.branch_ref(epic.branch),
    )
    accepted, branch = at.get(accepted_ref), at.get(branch_ref)
    found: list[str] = []
    if (accepted or branch) in proof.merged:
        found += sorted(ref for ref in at if ref.startswith(_KEPT))
        if branch in proof.merged:
            found.append(branch_ref)
        found += (claim, accepted_ref)
    elif accepted is None or accepted in proof.on_branch:
        # Another attempt takes the claim again, on top of what the epic's branch contains.
        found += (claim, accepted_ref)
    return [ref for ref in found if ref in at]


def remove(project: Project, runs: Sequence[RunName]) -> Removal:
    """Removes what is not needed of ended runs, whose refs were fetched before. Idempotent. Raises PROJECT_UNAVAILABLE."""
    at = _listed(project)
    epics = _by_epic(at, {run.run for run in runs})
    if not epics:
        return Removal(0, {})
    proof = _proof(project, at, epics)
    gone = [ref for epic, own in epics.items() for ref in removable(own, epic, proof)]
    kept: dict[str, str] = {}
    for first in range(0, len(gone), _AT_ONCE):
        kept |= _push(project, {ref: at[ref] for ref in gone[first : first + _AT_ONCE]})
    removed = {ref for ref in gone if ref not in kept}
    seen = [known_branches.seen_ref(epic) for epic in epics if refs.accepted_ref(epic) in removed]
    project.git.text("update-ref", "--stdin", stdin="".join(f"delete {ref}\n" for ref in seen).encode())
    log.info("remote_refs_removed", project=str(project.top), removed=len(removed), kept=kept)
    return Removal(len(removed), kept)


def _listed(project: Project) -> dict[str, str]:
    """Returns the commits of all refs at the remote."""
    done = _remote(project, "ls-remote", "--refs", "origin")
    if done.code:
        raise _unavailable(project, urls.redacted(done.stderr.strip()))
    pairs = (line.partition("\t") for line in decode(done.stdout).splitlines())
    return {ref: commit for commit, _, ref in pairs}


def _by_epic(at: Mapping[str, str], runs: Collection[str]) -> dict[EpicName, dict[str, str]]:
    """Returns the refs of each epic of the runs."""
    found: dict[EpicName, dict[str, str]] = {}
    for ref, commit in at.items():
        match ref.split("/"):
            case ["refs", "heddle", "claim" | "accepted" | "attempts" | "resolutions", run, epic, *_]:
                pass
            case ["refs", "heads", "heddle", run, "epics", epic]:
                pass
            case _:
                continue
        if run in runs:
            found.setdefault(EpicName(run, epic), {})[ref] = commit
    return dict(sorted(found.items()))


def _proof(project: Project, at: Mapping[str, str], epics: Mapping[EpicName, Mapping[str, str]]) -> Proof:
    """Reads from the commits that were fetched; what was not counts as contained in nothing."""
    here = set(
        project.git.text("for-each-ref", "--format=%(objectname)", "refs/remotes", "refs/heddle").split()
    )
    pairs = [(own.get(refs.accepted_ref(epic)), own.get(_branch(epic))) for epic, own in epics.items()]
    asked = here.intersection(commit for pair in pairs for commit in pair if commit)
    stay = here.intersection(
        commit
        for ref, commit in at.items()
        if ref.startswith(_HEADS) and branch_records.epic_of(ref.removeprefix(_HEADS)) is None
    )
    lines = "".join([*(f"{each}\n" for each in sorted(asked)), *(f"^{each}\n" for each in sorted(stay))])
    left = set(project.git.text("rev-list", "--stdin", stdin=lines.encode()).split()) if asked else set()
    on_branch = {
        accepted
        for accepted, branch in pairs
        if accepted in left and branch in asked and _contains(project, branch, accepted)
    }
    return Proof(asked - left, on_branch)


def _contains(project: Project, branch: str, commit: str) -> bool:
    return branch == commit or refs.is_ancestor(project.git, commit, branch)


def _branch(epic: EpicName) -> str:
    return refs.branch_ref(epic.branch)


def _push(project: Project, gone: Mapping[str, str]) -> dict[str, str]:
    """Removes refs that still have the given commits; returns why others were not removed."""
    # git writes its list of packed refs for each transaction, not for each ref.
    refused = _pushed(project, gone, "--atomic") and _pushed(project, gone)
    for why in refused.values():
        if push_refusals.is_unreachable(why):
            raise _unavailable(project, why)
    return refused


def _pushed(project: Project, gone: Mapping[str, str], *options: str) -> dict[str, str]:
    leases = (f"--force-with-lease={ref}:{commit}" for ref, commit in gone.items())
    done = _remote(project, "push", *_OPTIONS, *options, *leases, "origin", *(f":{ref}" for ref in gone))
    if done.code == 0:
        return {}
    return push_refusals.read(decode(done.stdout), urls.redacted(done.stderr), list(gone))


def _remote(project: Project, *arguments: str) -> Output:
    try:
        return project.git.run(*arguments, seconds=_SECONDS)
    except errors.HeddleError as error:
        raise _unavailable(project, error.message) from error


def _unavailable(project: Project, why: str) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        f"old refs cannot be removed from the remote now: {why.rstrip('.')}. This is tried again later.",
        project=str(project.top),
    )

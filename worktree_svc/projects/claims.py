"""Makes a worker the place of an epic at the project's remote, and has the remote refuse an earlier place.

refs/heddle/claim/RUN/EPIC at the remote is a chain of empty commits, which only a place extends. Each
acceptance extends it in the same atomic push as the epic's branch, so the remote compares and swaps it: a place
whose claim was taken over cannot get a commit accepted, even if its push was under way.
"""

import re
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb, urls
from heddle.names import EpicName
from worktree_svc.git import push_refusals, refs
from worktree_svc.git.command import Git, decode
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds after which a push to an unresponsive remote is abandoned.
_PUSH_SECONDS: Final = 60.0

# Takeovers that collide with an acceptance of the earlier place before this one gives up until the next call.
_TRIES: Final = 5

_FIELDS: Final = re.compile(r"^(generation|accepted): (\S*)$", re.MULTILINE)


class Claim(NamedTuple):
    """A claim at the remote: its commit, the generation of its place, and the last commit that was accepted there."""

    commit: str
    generation: int
    # Empty: none.
    accepted: str


def claim_ref(epic: EpicName) -> str:
    """Returns the ref of an epic's claim, here and at the remote."""
    return f"refs/heddle/claim/{epic.run}/{epic.epic}"


def take(project: Project, epic: EpicName, generation: int, head: str) -> None:
    """Makes this worker the place of the epic in a generation, with `head` as the last accepted commit. Idempotent.

    `head` is empty if none was accepted. What the remote has beyond it was never recorded as accepted, and is
    set aside. Raises STALE_ATTEMPT if a later generation has the claim, and PROJECT_UNAVAILABLE while the remote
    cannot be reached.
    """
    for _ in range(_TRIES):
        found = _read(project, epic)
        if found and found.generation > generation:
            raise _taken(epic, found.generation)
        if found and (found.generation, found.accepted) == (generation, head):
            _keep(project, epic, found.commit)
            return
        new = _extend(project.git, found, generation, head)
        if _push(project, epic, found, new, head, forced=True):
            _keep(project, epic, new)
            log.info("claim_taken", epic=str(epic), generation=generation)
            return
    raise _unavailable(project, "its refs keep changing")


def accept(project: Project, epic: EpicName, generation: int, commit: str) -> None:
    """Pushes an accepted commit with the claim, in one atomic step. Idempotent; raises as `take` does."""
    (held,) = refs.read(project.git, claim_ref(epic))
    mine = _parse(project.git, held) if held else None
    if mine is None or mine.generation != generation:
        raise _taken(epic, mine.generation if mine else 0)
    if mine.accepted == commit:
        return
    new = _extend(project.git, mine, generation, commit)
    if not _push(project, epic, mine, new, commit, forced=False):
        found = _read(project, epic)
        if found is None or found.generation != generation or found.accepted != commit:
            raise _taken(epic, found.generation if found else 0)
        # The answer to an earlier push was lost.
        new = found.commit
    _keep(project, epic, new)


def _read(project: Project, epic: EpicName) -> Claim | None:
    """Returns the claim at the remote; None if there is none."""
    ref = claim_ref(epic)
    listed = project.git.run("ls-remote", "origin", ref, seconds=_PUSH_SECONDS)
    if listed.code:
        raise _unavailable(project, urls.redacted(listed.stderr.strip()))
    commit = decode(listed.stdout).partition("\t")[0]
    if not commit:
        return None
    branches = (f"+refs/heads/{epic.branch}*:refs/remotes/origin/{epic.branch}*",)
    options = ("--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no")
    fetched = project.git.run("fetch", *options, "origin", commit, *branches, seconds=_PUSH_SECONDS)
    if fetched.code:
        raise _unavailable(project, urls.redacted(fetched.stderr.strip()))
    return _parse(project.git, commit)


def _parse(git: Git, commit: str) -> Claim:
    fields = dict(_FIELDS.findall(decode(git.content(commit) or b"")))
    return Claim(commit, int(fields.get("generation") or 0), fields.get("accepted", ""))


def _extend(git: Git, before: Claim | None, generation: int, accepted: str) -> str:
    """Returns a new commit on top of a claim. Not the same for two places, because their parents differ."""
    tree = git.text("hash-object", "-t", "tree", "-w", "--stdin", stdin=b"")
    parents = ("-p", before.commit) if before else ()
    message = f"Claim\n\ngeneration: {generation}\naccepted: {accepted}\n"
    return git.text("commit-tree", *parents, tree, stdin=message.encode())


def _push(
    project: Project, epic: EpicName, before: Claim | None, claim: str, commit: str, *, forced: bool
) -> bool:
    """Moves the claim, the branch and the accepted ref together; returns False if one of them is not where it should be.

    `forced` sets the branch back to `commit`, or removes it if that is empty.
    """
    expected = before.accepted if before else ""
    wanted = {claim_ref(epic): (claim, before.commit if before else "")}
    if commit or forced:
        for ref in (refs.branch_ref(epic.branch), refs.accepted_ref(epic)):
            wanted[ref] = (commit, expected)
    leases = [f"--force-with-lease={ref}:{old}" for ref, (_, old) in wanted.items()]
    specs = [f"{new}:{ref}" for ref, (new, old) in wanted.items() if new or old]
    options = ("--porcelain", "--atomic", "--no-verify", "--recurse-submodules=no", "--no-follow-tags")
    done = project.git.run("push", *options, *leases, "origin", *specs, seconds=_PUSH_SECONDS)
    if done.code == 0:
        return True
    refused = push_refusals.read(decode(done.stdout), urls.redacted(done.stderr), list(wanted))
    log.info("claim_refused", epic=str(epic), refused=refused)
    if any(_lost_race(said) for said in refused.values()):
        return False
    raise _unavailable(project, "; ".join(dict.fromkeys(refused.values())))


def _lost_race(said: str) -> bool:
    return push_refusals.is_behind(said) or "cannot lock ref" in said or "failed to update ref" in said


def _keep(project: Project, epic: EpicName, commit: str) -> None:
    refs.update(project.git, [refs.RefUpdate(claim_ref(epic), commit, None)])


def _taken(epic: EpicName, generation: int) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_STALE_ATTEMPT,
        f"{epic} has moved to another worker (generation {generation}); what is done here is not accepted",
    )


def _unavailable(project: Project, why: str) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        f"the remote of {project.top} does not take the claim: {why.rstrip('.')}. Work continues by itself once it does.",
        project=project.top,
    )

"""Makes a worker the place of an epic at the project's remote, and has the remote refuse an earlier place.

The remote of a project by path is the user's repository: its worker changes the refs itself, and others push to it.

refs/heddle/claim/RUN/EPIC at the remote is a chain of empty commits, which only a place extends. Each
acceptance extends it in the same atomic push as the epic's accepted commit, so the remote compares and swaps it: a
place whose claim was taken over cannot get a commit accepted, even if its push was under way.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from heddle import errors, pb, urls
from heddle.failpoints import failpoint
from heddle.names import EpicName
from worktree_svc.git import push_refusals, refs
from worktree_svc.git.process.command import Git, Output, decode, failure
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds after which a push to an unresponsive remote is abandoned.
_PUSH_SECONDS: Final = 60.0

# Pushes that collide with one of another place before this one gives up until the next call.
_TRIES: Final = 5

_FIELDS: Final = re.compile(r"^(generation|holder|accepted): (\S*)$", re.MULTILINE)

_OPTIONS: Final = ("--porcelain", "--atomic", "--no-verify", "--recurse-submodules=no", "--no-follow-tags")


class Acceptance(NamedTuple):
    """How a commit was accepted at the remote."""

    # Why the remote refused the epic's branch, whose commit is at the remote all the same. Empty: it did not.
    push_error: str = ""
    # In the user's repository, what must move together with the epic's refs, the claim first.
    updates: Sequence[refs.RefUpdate] = ()


# An epic without a place has no claim.
UNPLACED: Final = Acceptance()


class Claim(NamedTuple):
    """A claim at the remote: its commit, who holds it, and the last commit that was accepted there."""

    commit: str
    generation: int
    # Random, new for each takeover: two disks never share it, even if their workers have the same name.
    holder: str
    # Empty: none.
    accepted: str


def held(project: Project, epic: EpicName) -> Claim | None:
    """Returns the claim that this worker holds or held; None if it was never the epic's place."""
    (commit,) = refs.read(project.git, _held_ref(project, epic))
    return _parse(project.git, commit) if commit else None


def claimed(project: Project, epic: EpicName) -> int:
    """Returns the generation that has the epic's claim in this repository; 0: none has."""
    (commit,) = refs.read(project.git, refs.claim_ref(epic))
    return _parse(project.git, commit).generation if commit else 0


def _held_ref(project: Project, epic: EpicName) -> str:
    return refs.claim_ref(epic) if repository.is_mirror(project) else refs.held_ref(epic)


def take(project: Project, epic: EpicName, generation: int, head: str) -> Claim:
    """Makes this worker the place of the epic in a generation, with `head` as the last accepted commit.

    Returns the claim, which counts as held once `keep` has recorded it. Can be repeated. `head` is empty if none was
    accepted. What the remote has beyond it was never recorded as accepted, and is set aside. Raises STALE_ATTEMPT if
    a later generation has the claim, CLAIM_REFUSED if the remote does not allow it, and PROJECT_UNAVAILABLE while it
    cannot be reached.
    """
    holder = secrets.token_hex(8)
    refused = "its refs keep changing"
    for _ in range(_TRIES):
        found, accepted = _read(project, epic)
        if found and found.generation > generation:
            raise _taken(epic, found.generation)
        # Without a claim, which someone may have removed, the commit that was accepted is still there. With one, the
        # claim decides; a worktree of an earlier place can have put the ref back.
        before = (found or Claim("", 0, "", ""))._replace(accepted=accepted)
        new = _extended(project.git, before, Claim("", generation, holder, head))
        pushed = _push(project, epic, before, new, with_branch=True)
        if pushed.refused and not pushed.unreachable:
            # Only the claim and the accepted commit decide; a branch may be protected, or moved by someone else.
            pushed = _push(project, epic, before, new, with_branch=False)
        if not pushed.refused:
            log.info("claim_taken", epic=str(epic), generation=generation)
            return new
        if pushed.forbidden and not urls.is_of_worker(repository.remote_of(project)):
            raise errors.HeddleError(
                pb.ERROR_REASON_CLAIM_REFUSED,
                f"the remote does not accept {refs.claim_ref(epic)}: {pushed.refused.rstrip('.')}. The epic works where its"
                " run is. Allow the worker's account to push refs/heddle/* so that epics can use all workers.",
                project=str(project.top),
            )
        if not pushed.collided:
            raise repository.remote_unavailable(project, pushed.refused)
        refused = pushed.refused
    raise repository.remote_unavailable(project, refused)


def keep(project: Project, epic: EpicName, claim: Claim) -> None:
    """Records that this worker holds a claim."""
    refs.update(project.git, [refs.RefUpdate(_held_ref(project, epic), claim.commit, None)])


def accept(project: Project, epic: EpicName, generation: int, commit: str) -> Acceptance:
    """Pushes an accepted commit with the claim, in one atomic step; idempotent. Raises as `take` does.

    In the user's repository, `record` moves the claim.
    """
    mine = held(project, epic)
    if mine is None or mine.generation != generation:
        raise _taken(epic, mine.generation if mine else 0)
    if mine.accepted == commit:
        return UNPLACED
    if not repository.is_mirror(project):
        new = _extended(project.git, mine, mine._replace(accepted=commit))
        moved = (refs.claim_ref(epic), refs.held_ref(epic))
        return Acceptance(updates=[refs.RefUpdate(ref, new.commit, mine.commit) for ref in moved])
    return _accept_at_remote(project, epic, mine, commit)


def _accept_at_remote(project: Project, epic: EpicName, mine: Claim, commit: str) -> Acceptance:
    for _ in range(_TRIES):
        new = _extended(project.git, mine, mine._replace(accepted=commit))
        pushed = _push(project, epic, mine, new, with_branch=True)
        branch_refused = ""
        if pushed.refused and not pushed.unreachable:
            branch_refused = pushed.refused
            pushed = _push(project, epic, mine, new, with_branch=False)
        if not pushed.refused:
            failpoint("claim.after_push")
            keep(project, epic, new)
            return Acceptance(branch_refused)
        found, accepted = _read(project, epic)
        if found is None:
            # Another place would have a claim. The next attempt takes the place again.
            project.git.text("update-ref", "-d", refs.claim_ref(epic), mine.commit)
            raise errors.HeddleError(
                pb.ERROR_REASON_WORKTREE_LOST,
                f"{refs.claim_ref(epic)} is no longer at the remote: someone removed it. Another attempt makes it again.",
            )
        if (found.generation, found.holder) != (mine.generation, mine.holder):
            raise _taken(epic, found.generation)
        if found.accepted == commit:
            # The answer to an earlier push was lost.
            keep(project, epic, found)
            return UNPLACED
        if found.commit == mine.commit and accepted == mine.accepted:
            raise repository.remote_unavailable(project, pushed.refused)
        # An earlier push of this place arrived, but its attempt has ended before that was known; or the ref was moved.
        mine = found._replace(accepted=accepted)
    raise repository.remote_unavailable(project, "its refs keep changing")


def record(
    project: Project, epic: EpicName, acceptance: Acceptance, updates: Sequence[refs.RefUpdate]
) -> None:
    """Moves the epic's own refs here, and what `acceptance` adds. Raises STALE_ATTEMPT if another place has the claim."""
    output = refs.try_update(project.git, [*acceptance.updates, *updates])
    if output.code == 0:
        return
    if acceptance.updates and refs.read(project.git, refs.claim_ref(epic)) != [acceptance.updates[0].old]:
        raise _taken(epic, claimed(project, epic))
    raise failure(("update-ref", "--stdin"), output)


def submit(project: Project, ref: str) -> None:
    """Pushes work that waits for reviews, so that another worker can continue with it. Raises PROJECT_UNAVAILABLE."""
    if not repository.is_mirror(project):
        return
    done = _remote(project, "push", *_OPTIONS, "origin", f"+{ref}:{ref}")
    if done.code:
        said = push_refusals.read(decode(done.stdout), urls.redacted(done.stderr), [ref])
        raise repository.remote_unavailable(project, "; ".join(said.values()))


def _read(project: Project, epic: EpicName) -> tuple[Claim | None, str]:
    """Returns the claim and the accepted commit at the remote; None and empty if there is none."""
    asked = (refs.claim_ref(epic), refs.accepted_ref(epic))
    if not repository.is_mirror(project):
        claim, last = refs.read(project.git, *asked)
        return _parse(project.git, claim) if claim else None, last or ""
    listed = _remote(project, "ls-remote", "origin", *asked)
    if listed.code:
        raise repository.remote_unavailable(project, urls.redacted(listed.stderr.strip()))
    pairs = (line.partition("\t") for line in decode(listed.stdout).splitlines())
    at = {ref: commit for commit, _, ref in pairs}
    commit, accepted = (at.get(ref, "") for ref in asked)
    if not commit:
        return None, accepted
    branches = (f"+refs/heads/{epic.branch}*:refs/remotes/origin/{epic.branch}*",)
    options = ("--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no")
    fetched = _remote(project, "fetch", *options, "origin", commit, *branches)
    if fetched.code:
        raise repository.remote_unavailable(project, urls.redacted(fetched.stderr.strip()))
    return _parse(project.git, commit), accepted


def _remote(project: Project, *arguments: str) -> Output:
    """Runs git with the remote; raises PROJECT_UNAVAILABLE if that does not answer in time."""
    try:
        return project.git.run(*arguments, seconds=_PUSH_SECONDS)
    except errors.HeddleError as error:
        raise repository.remote_unavailable(project, error.message) from error


def _parse(git: Git, commit: str) -> Claim:
    fields = dict(_FIELDS.findall(decode(git.content(commit) or b"")))
    return Claim(
        commit, int(fields.get("generation") or 0), fields.get("holder", ""), fields.get("accepted", "")
    )


def _extended(git: Git, before: Claim, claim: Claim) -> Claim:
    """Writes a claim as a new commit on top of the one before it; returns it with that commit."""
    tree = git.text("hash-object", "-t", "tree", "-w", "--stdin", stdin=b"")
    parents = ("-p", before.commit) if before.commit else ()
    message = f"Claim\n\ngeneration: {claim.generation}\nholder: {claim.holder}\naccepted: {claim.accepted}\n"
    return claim._replace(commit=git.text("commit-tree", *parents, tree, stdin=message.encode()))


class _Pushed(NamedTuple):
    """The result of a push: why it was refused, and what kind of refusal that was. All false: it was accepted."""

    refused: str = ""
    # A ref is not where it was expected to be.
    collided: bool = False
    # A rule of the remote, or the worker's rights there.
    forbidden: bool = False

    @property
    def unreachable(self) -> bool:
        return bool(self.refused) and not (self.collided or self.forbidden)


def _push(project: Project, epic: EpicName, before: Claim, new: Claim, *, with_branch: bool) -> _Pushed:
    """Moves the claim, the accepted commit and the branch together, each from where the claim before has it.

    A claim before without a commit: the remote has none.
    """
    if not repository.is_mirror(project):
        # The epic's own refs follow when its worktree is made.
        moved = refs.RefUpdate(refs.claim_ref(epic), new.commit, before.commit or refs.ABSENT)
        collided = refs.try_update(project.git, [moved])
        return _Pushed(collided.stderr.strip(), collided=bool(collided.code))
    expected = before.accepted
    moves = [(refs.claim_ref(epic), new.commit, before.commit)]
    if new.accepted or expected:
        moves.append((refs.accepted_ref(epic), new.accepted, expected))
        if with_branch:
            moves.append((refs.branch_ref(epic.branch), new.accepted, expected))
    leases = [f"--force-with-lease={ref}:{old}" for ref, _, old in moves]
    specs = [f"{commit}:{ref}" for ref, commit, _ in moves]
    done = _remote(project, "push", *_OPTIONS, *leases, "origin", *specs)
    if done.code == 0:
        return _Pushed()
    said = urls.redacted(done.stderr)
    refused = push_refusals.read(decode(done.stdout), said, [ref for ref, _, _ in moves])
    log.info("claim_refused", epic=str(epic), refused=refused)
    return _judged([*refused.values(), said])


def _judged(said: Sequence[str]) -> _Pushed:
    why = "; ".join(dict.fromkeys(said[:-1]))
    collided = any(push_refusals.is_collision(each) for each in said)
    forbidden = not collided and any(push_refusals.is_forbidden(each) for each in said)
    return _Pushed(why, collided, forbidden)


def _taken(epic: EpicName, generation: int) -> errors.HeddleError:
    return errors.HeddleError(
        pb.ERROR_REASON_STALE_ATTEMPT,
        f"{epic} has moved to another worker (generation {generation}); what is done here is not accepted",
    )

"""Where Heddle's own branches are, judged by where Heddle left them.

Anybody may move a branch. What was accepted of an epic, and what was merged of a run, is kept under a ref of its
own as well, so that a branch that was deleted comes back, one that went on is taken as it is, and one that lost
something is noticed.
"""

import re
import shlex
from typing import Final

import structlog

from heddle import errors, pb
from heddle.names import EpicName, RunName
from worktree_svc.git import refs
from worktree_svc.git.command import Git
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_OURS: Final = re.compile(r"heddle/([^/]+)/(?:merged|epics/([^/]+))")


def record_of(branch: str) -> str | None:
    """Returns the ref that keeps what Heddle has put on a branch; None for a branch of the user."""
    match = _OURS.fullmatch(branch)
    if match is None:
        return None
    run, epic = match.groups()
    return refs.accepted_ref(EpicName(run, epic)) if epic else refs.merged_ref(RunName(run))


def commit_of(project: Project, branch: str, *, restore: bool = True) -> str | None:
    """Returns the commit of a branch; None if it is not there.

    One of Heddle's that was deleted is put back, with `restore`. Raises BRANCH_DIVERGED if it lacks what was there.
    """
    git, ref, record = project.git, refs.branch_ref(branch), record_of(branch)
    if record is None:
        return refs.read(git, ref)[0]
    now, last = refs.read(git, ref, record)
    if last is None or now == last:
        return now
    if now is None:
        if restore:
            refs.try_move(git, [refs.Move(ref, last, refs.ABSENT)])
            log.warning("branch_restored", branch=branch, commit=last)
        return last
    if refs.is_ancestor(git, last, now):
        return now
    raise _diverged(project, branch, now, last)


def moves(git: Git, branch: str, commit: str) -> list[refs.Move]:
    """Returns what has to move with the branch of a run, so that its record stays true."""
    record = record_of(branch)
    if record is None or branch.partition("/epics/")[1]:
        return []
    (last,) = refs.read(git, record)
    return [] if last == commit else [refs.Move(record, commit, last or refs.ABSENT)]


def _diverged(project: Project, branch: str, now: str, last: str) -> errors.HeddleError:
    where, name = shlex.quote(str(project.top)), shlex.quote(branch)
    return errors.HeddleError(
        pb.ERROR_REASON_BRANCH_DIVERGED,
        f"{branch} was moved to {now[:12]}, which lacks what Heddle had put there ({last[:12]}). Put it back:"
        f" git -C {where} branch --force {name} {last}; or merge that commit into it. Then it goes on by itself.",
        branch=branch,
        commit=last,
    )

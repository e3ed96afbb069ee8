"""Compares Heddle's own branches with separate records of Heddle's last commits on them.

Any user or agent may move a branch. An epic's accepted commit and a run's merged commit are therefore also
recorded under a separate ref. With this record, Heddle restores a deleted branch, accepts a branch with further
commits, and detects a branch that lost commits.
"""

import re
import shlex
from typing import Final

import structlog

from heddle import errors, pb
from heddle.names import EpicName, RunName
from worktree_svc.git import refs
from worktree_svc.git.process.command import Git
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_OURS: Final = re.compile(r"heddle/([^/]+)/(?:merged|epics/([^/]+))")


def record_of(branch: str) -> str | None:
    """Returns the ref that records the last commit that Heddle put on a branch; None for a user's branch."""
    match = _OURS.fullmatch(branch)
    if match is None:
        return None
    run, epic = match.groups()
    return refs.accepted_ref(EpicName(run, epic)) if epic else refs.merged_ref(RunName(run))


def epic_of(branch: str) -> EpicName | None:
    """Returns the epic whose branch it is; None for another branch."""
    match = _OURS.fullmatch(branch)
    return EpicName(*match.groups()) if match and match[2] else None


def commit_of(project: Project, branch: str, *, restore: bool = True) -> str | None:
    """Returns the commit of a branch; None if it does not exist.

    `restore` recreates a deleted branch of Heddle. Raises BRANCH_DIVERGED if the branch lost its recorded
    commit.
    """
    git, ref, record = project.git, refs.branch_ref(branch), record_of(branch)
    if record is None:
        return refs.read(git, ref)[0]
    now, last = refs.read(git, ref, record)
    if last is None or now == last:
        return now
    if now is None:
        if restore:
            refs.try_update(git, [refs.RefUpdate(ref, last, refs.ABSENT)])
            log.warning("branch_restored", branch=branch, commit=last)
        return last
    if refs.is_ancestor(git, last, now):
        return now
    raise _diverged(project, branch, now, last)


def record_updates(git: Git, branch: str, commit: str) -> list[refs.RefUpdate]:
    """Returns the ref updates that keep the record correct.

    They must be applied together with a move of the branch.
    """
    record = record_of(branch)
    if record is None or branch.partition("/epics/")[1]:
        return []
    (last,) = refs.read(git, record)
    return [] if last == commit else [refs.RefUpdate(record, commit, last or refs.ABSENT)]


def _diverged(project: Project, branch: str, now: str, last: str) -> errors.HeddleError:
    where, name = shlex.quote(str(project.top)), shlex.quote(branch)
    return errors.HeddleError(
        pb.ERROR_REASON_BRANCH_DIVERGED,
        f"{branch} was moved to {now[:12]}, which does not contain the last commit of Heddle ({last[:12]}). Move it back:"
        f" git -C {where} branch --force {name} {last}; or merge that commit into it. Work then continues by itself.",
        branch=branch,
        commit=last,
    )

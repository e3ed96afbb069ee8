"""Brings commits of Heddle's branches that other workers, or a lost disk, have pushed to the remote of a project."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, TypeAlias

import structlog

from heddle import errors, pb, urls
from heddle.names import EpicName, RunName
from worktree_svc.git import refs
from worktree_svc.projects import branch_records
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Where the accepted commits that the remote has are seen here; they need not be those of this worker.
_SEEN: Final = "refs/heddle/seen"

# Opens a context for a fetch into the project.
Fetching: TypeAlias = Callable[[], AbstractContextManager[None]]

# Seconds after which a fetch from an unresponsive remote is abandoned.
_SECONDS: Final = 600.0

_OPTIONS: Final = (
    "--quiet",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--recurse-submodules=no",
    "--no-tags",
)


def restore(project: Project, known: Iterable[pb.KnownBranch], fetching: Fetching) -> None:
    """Restores branches that are not here, and sets those that other workers move to the given commits.

    Raises UNKNOWN_REVISION if the remote does not have a commit, and NOT_A_REPOSITORY if it cannot be reached.
    """
    missing = []
    for each in known:
        record = branch_records.record_of(each.branch)
        if record is not None:
            at, last = refs.read(project.git, refs.branch_ref(each.branch), record)
            # To an epic's branch, people may have added commits at the remote. What is moved only by this worker can
            # only be newer here.
            moved = last != each.commit or branch_records.epic_of(each.branch)
            if moved if each.elsewhere else not (at or last):
                missing.append((each, record, last))
    if not missing:
        return
    bring(project, {_run_of(each.branch) for each, _, _ in missing}, fetching)
    for each, record, last in missing:
        if refs.resolve(project.git, f"{each.commit}^{{commit}}") is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_UNKNOWN_REVISION,
                f"{each.commit[:12]} of {each.branch} is neither on this worker nor at the remote: it was not pushed before"
                " the worker's disk was lost. Retry the run's tasks from the first one that is missing.",
                revision=each.commit,
            )
        _set(project, each, record, last)


def _set(project: Project, known: pb.KnownBranch, record: str, last: str | None) -> None:
    git, commit = project.git, known.commit
    epic = branch_records.epic_of(known.branch)
    if known.elsewhere and epic is None and last and refs.is_ancestor(git, commit, last):
        # A run's branch is only extended: another call has brought more of it meanwhile.
        return
    at = _with_later_commits(project, known, epic) if known.elsewhere or epic is None else commit
    refs.update(
        git, [refs.RefUpdate(record, commit, None), refs.RefUpdate(refs.branch_ref(known.branch), at, None)]
    )
    log.info("branch_brought" if known.elsewhere else "branch_restored", branch=known.branch, commit=commit)


def _with_later_commits(project: Project, known: pb.KnownBranch, epic: EpicName | None) -> str:
    """Returns the remote's branch if it has commits on top of the known one that count, or else the known commit.

    On an epic's branch, those of people count; on a run's, merges that were pushed by a worker that was then lost.
    """
    commit, tracked = known.commit, f"refs/remotes/origin/{known.branch}"
    seen, branch = refs.read(project.git, seen_ref(epic) if epic else tracked, tracked)
    # The accepted commit is removed from the remote some time after the run has ended.
    counts = (
        branch and (epic is None or seen in {None, commit}) and refs.is_ancestor(project.git, commit, branch)
    )
    return branch if branch and counts else commit


def bring(project: Project, runs: Iterable[RunName], fetching: Fetching) -> None:
    """Fetches the branches and accepted commits that the remote has of runs; moves no branch. Raises NOT_A_REPOSITORY."""
    specs: list[str] = []
    for run in sorted(runs):
        specs += (
            f"+refs/heads/heddle/{run.run}/*:refs/remotes/origin/heddle/{run.run}/*",
            f"+refs/heddle/accepted/{run.run}/*:{_SEEN}/{run.run}/*",
            f"+refs/heddle/attempts/{run.run}/*:refs/heddle/attempts/{run.run}/*",
            f"+refs/heddle/resolutions/{run.run}/*:refs/heddle/resolutions/{run.run}/*",
        )
    try:
        with fetching():
            output = project.git.run("fetch", *_OPTIONS, "origin", *specs, seconds=_SECONDS)
        said = urls.redacted(output.stderr.strip() or "git fetch failed") if output.code else ""
    except errors.HeddleError as error:
        said = error.message
    if said:
        raise errors.HeddleError(
            pb.ERROR_REASON_NOT_A_REPOSITORY,
            f"the remote of {project.top} cannot be fetched: {said}",
            project=str(project.top),
        )


def bring_missing(project: Project, known: Iterable[pb.KnownBranch], fetching: Fetching) -> None:
    """Fetches the commits of branches that other workers move, unless they are here; moves no branch."""
    missing = {
        _run_of(each.branch) for each in known if each.elsewhere and not refs.has(project.git, each.commit)
    }
    if missing:
        bring(project, missing, fetching)


def seen_ref(epic: EpicName) -> str:
    """Returns the ref of the epic's accepted commit that was last fetched from the remote."""
    return f"{_SEEN}/{epic.run}/{epic.epic}"


def _run_of(branch: str) -> RunName:
    return RunName(branch.split("/")[1])

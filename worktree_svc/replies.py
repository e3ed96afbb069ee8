"""Turns domain results into protobuf messages. Pure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from heddle import pb
from worktree_svc.git.process.command import readable
from worktree_svc.merges.branch_merge import Conflict
from worktree_svc.merges.conflict_forecast import Branch
from worktree_svc.merges.open_merges import OpenedMerge
from worktree_svc.storage.worktree_store import Lease, WorktreeState

MOST_CHANGED_PATHS: Final = 1000
MOST_UNFILLED: Final = 20


def conflict(found: Conflict) -> pb.MergeBranchResponse.Conflict:
    """Returns a conflict with the regions in which both sides differ."""
    return pb.MergeBranchResponse.Conflict(
        files=found.files,
        advice=found.advice,
        hunks=[pb.ConflictHunk(**hunk._asdict()) for hunk in found.hunks],
        source_commit=found.source,
        target_commit=found.target,
    )


def opened(merge: OpenedMerge) -> pb.OpenMergeResponse:
    """Returns a checked-out merge: the sources that it contains, and the sources that could not be merged."""
    return pb.OpenMergeResponse(
        target_commit=merge.target or "",
        commit=merge.commit,
        tree=merge.tree,
        merged=[
            pb.MergedSource(
                branch=branch, commit=commit, already=already, source_commit=source, advice=advice
            )
            for branch, commit, already, source, advice in merge.parts
        ],
        conflicting=[
            pb.ConflictingSource(branch=branch, conflict=conflict(found))
            for branch, found in merge.conflicts.items()
        ],
        path=merge.path,
    )


def changed_paths(branch: Branch) -> pb.ChangedPaths:
    """Returns the first paths that a branch changes, sorted by name, and their total number."""
    paths = sorted(readable(path) for path in branch.changes.paths)
    return pb.ChangedPaths(
        branch=branch.name, commit=branch.commit, paths=paths[:MOST_CHANGED_PATHS], path_count=len(paths)
    )


def unfilled(found: Sequence[tuple[str, str]]) -> pb.SubmodulesNotFilled:
    """Returns the first submodules that could not be filled, each with its reason, and their total number."""
    first = [
        pb.UnfilledSubmodule(path=readable(path), reason=readable(reason))
        for path, reason in found[:MOST_UNFILLED]
    ]
    return pb.SubmodulesNotFilled(submodules=first, count=len(found))


def lease_of(state: WorktreeState) -> Lease:
    """Returns the lease of a worktree that is ready."""
    if state.lease is None:
        raise RuntimeError(f"{state.epic} has no lease")
    return state.lease


def worktree(state: WorktreeState, path: Path) -> pb.Worktree:
    """Converts the state of the worktree at `path`."""
    return pb.Worktree(
        epic=str(state.epic),
        path=str(path),
        branch=state.epic.branch,
        head_commit=state.head,
        project=str(state.project),
        lease=pb.Lease(slot=state.lease.slot, ports=state.lease.ports) if state.lease else None,
        incarnation=state.incarnation,
    )

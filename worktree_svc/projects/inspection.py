"""Inspects a project before a run: finds where the run would start, and what would prevent it."""

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heddle import errors, pb, urls
from worktree_svc.git import filters, refs
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import SCRATCH, readable
from worktree_svc.projects import repository
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files

# The most dirty files in an answer.
MOST_DIRTY_FILES: Final = 20


@dataclass(frozen=True)
class Inspection:
    """Where a run would start."""

    project: Project
    base_commit: str
    # Empty: the base is not a branch.
    base_branch: str
    dirty_files: tuple[str, ...]
    # How far the branch is behind its upstream. None: the branch has no upstream or is up to date.
    behind: pb.BaseBehind | None = None


def inspect(folders: PrivateFolders, path: str, base_ref: str, merge_into: str) -> Inspection:
    """Returns where a run on the project would start; raises the error that would prevent it. Changes nothing."""
    project = repository.find(folders, path)
    remote = f"refs/remotes/origin/{base_ref}"
    if urls.is_url(path) and refs.read(project.git, remote)[0]:
        base_ref = remote
    base = repository.base_commit(project, base_ref)
    _check_name_is_free(project)
    running = folders.running_filters(project.common)
    filters.check(project.git, project.common, base, running, folders.named)
    if merge_into:
        repository.check_target(project, merge_into)
    branch = _base_branch(project, base_ref, mirror=urls.is_url(path))
    # In a project by URL, the commits of the remote were just fetched.
    behind = None if urls.is_url(path) else _behind(project, branch)
    return Inspection(project, base, branch, tuple(_dirty_files(project)), behind)


def _base_branch(project: Project, base_ref: str, *, mirror: bool) -> str:
    """Returns the local branch that `base_ref` names, or the branch that is checked out.

    In a mirror it is the branch of the remote. The name is empty if there is none.
    """
    prefix, remote = refs.branch_ref(""), "refs/remotes/origin/"
    if base_ref in {"", "HEAD", "@"}:
        full = refs.head_branch(project.git_dir) or ""
    else:
        full = base_ref if base_ref.startswith(prefix) else prefix + base_ref
        full = base_ref if base_ref.startswith(remote) else full
        full = full if refs.read(project.git, full)[0] else ""
    if mirror and full.startswith(remote):
        return full.removeprefix(remote)
    return full.removeprefix(prefix) if full.startswith(prefix) else ""


def _behind(project: Project, branch: str) -> pb.BaseBehind | None:
    """Returns how far a branch is behind its upstream or origin's branch of the same name, as last fetched."""
    if not branch:
        return None
    asked = project.exposed_git
    remote, merged = (
        asked.text("config", "--default", other, "--get", f"branch.{branch}.{name}")
        for name, other in (("remote", "origin"), ("merge", refs.branch_ref(branch)))
    )
    short = merged.removeprefix(refs.branch_ref(""))
    upstream = refs.branch_ref(short) if remote == "." else f"refs/remotes/{remote}/{short}"
    ours, theirs = refs.read(project.git, refs.branch_ref(branch), upstream)
    if ours is None or theirs is None or ours == theirs:
        return None
    count = int(project.git.text("rev-list", "--count", f"{ours}..{theirs}"))
    name = readable(upstream.removeprefix("refs/remotes/").removeprefix("refs/heads/"))
    return pb.BaseBehind(branch=readable(branch), upstream=name, commits=count) if count else None


def _check_name_is_free(project: Project) -> None:
    """Raises BRANCH_EXISTS if a branch called "heddle" exists, because git then allows no branch heddle/….

    A branch of that name at the remote would block every push there.
    """
    commit, there = refs.read(project.git, refs.branch_ref("heddle"), "refs/remotes/origin/heddle")
    remote = repository.remote_of(project)
    if there and remote:
        where = shlex.quote(remote)
        raise errors.HeddleError(
            pb.ERROR_REASON_BRANCH_EXISTS,
            f"a branch called heddle of {remote} blocks the branches heddle/RUN/…, so nothing could be pushed."
            f" Rename it there; in a clone of it: git push {where} origin/heddle:refs/heads/another-name :heddle",
            branch="heddle",
        )
    if commit:
        raise errors.HeddleError(
            pb.ERROR_REASON_BRANCH_EXISTS,
            "a branch called heddle blocks the branches heddle/RUN/…. Rename it:"
            f" git -C {shlex.quote(str(project.top))} branch -m heddle another-name",
            branch="heddle",
        )


def _dirty_files(project: Project) -> list[str]:
    if project.bare:
        return []
    head = refs.head_of(project.git, project.git_dir)
    if head is None or not (project.git_dir / "index").is_file():
        return []
    options = ("--name-only", "-z", "--ignore-submodules=dirty", "--no-renames", "--no-ext-diff")
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=project.private) as folder:
        # The index is copied, because git refreshes the index that it compares with.
        index = Path(folder, "index")
        files.copy_atomically(project.git_dir / "index", index)
        paths = project.git.at(project.top, index=index).items("diff", *options, head, "--")
    return [readable(path) for path in dict.fromkeys(paths)][:MOST_DIRTY_FILES]

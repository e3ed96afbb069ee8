"""Manages the git folder of one worktree, with its HEAD, index and unfinished operations.

The file .git in the worktree points to that folder, which is in the worktree's view of the repository
(git/worktree_views.py). An agent may have changed both in any way. The repository itself registers the worktree in
worktrees/NAME, where no agent writes.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.names import EpicName
from heddle.worktree_paths import git_folder_of, view_of
from worktree_svc.git import refs, worktree_registration, worktree_views
from worktree_svc.git.command import Git
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths

# Folders in a worktree with screenshots and other files of agents and their browsers that are not part of their work.
ARTIFACTS: Final = (".heddle", ".playwright-mcp")

# Files of an unfinished merge, rebase or similar, and locks of a git process that was killed.
LEFTOVERS: Final = (
    "*.lock",
    "*_HEAD",
    "AUTO_MERGE",
    "BISECT_*",
    "MERGE_*",
    "SQUASH_MSG",
    # Without its patterns, a sparse checkout that an agent enabled is off.
    "info/sparse-checkout",
    "rebase-apply",
    "rebase-merge",
    "sequencer",
)

# The path from a registration to the repository's git folder, as git writes it.
_COMMONDIR: Final = "../..\n"


def find(project: Project, paths: WorktreePaths) -> Path | None:
    """Returns the git folder of an epic's worktree; None if git has no such worktree."""
    own = git_folder_of(paths.worktree)
    registration = find_at(project, paths.worktree)
    return own if registration and own.is_dir() and not own.is_symlink() else registration


def find_at(project: Project, path: Path) -> Path | None:
    """Returns the registration of the worktree at any path; None if git has no such worktree."""
    pointer = str(path / ".git")
    for entry in project.common.glob("worktrees/*/gitdir"):
        if entry.parent.is_symlink() or not entry.is_file():
            continue
        with suppress(FileNotFoundError):  # that worktree is being removed right now
            if entry.read_text(errors="surrogateescape").strip() == pointer:
                return entry.parent
    return None


def has_nested_worktrees(project: Project, paths: WorktreePaths) -> bool:
    """Returns whether the agent created other worktrees of the project inside this one.

    CommitTask excludes these.
    """
    for repository in repositories(project, paths):
        for entry in repository.glob("worktrees/*/gitdir"):
            with suppress(OSError):  # that worktree is being removed right now
                pointer = Path(entry.read_text(errors="surrogateescape").strip())
                if paths.worktree in pointer.parent.parents and pointer.is_file():
                    return True
    return False


def repositories(project: Project, paths: WorktreePaths) -> tuple[Path, ...]:
    """Returns the git folders in which an agent's nested worktrees may be registered."""
    return project.common, view_of(paths.worktree)


def belongs_to(folder: Path, repositories: Collection[Path]) -> bool:
    """Returns whether `folder` is a linked worktree of one of the repositories, given by their git folders."""
    pointer = folder / ".git"
    if not pointer.is_file():
        return False
    target = pointer.read_text(errors="surrogateescape").removeprefix("gitdir: ").strip()
    return Path(folder, target).resolve().parent in {each / "worktrees" for each in repositories}


def exists(paths: WorktreePaths) -> bool:
    """Returns whether the worktree's folder exists; its content does not matter."""
    return paths.worktree.is_dir() and not paths.worktree.is_symlink()


def is_complete(project: Project, paths: WorktreePaths) -> bool:
    """Returns whether the worktree exists and is completely registered in git."""
    registration, folder = find_at(project, paths.worktree), find(project, paths)
    if registration is None or folder is None or not exists(paths):
        return False
    lock = registration / "locked"
    # The reason with which git locks a worktree while creating it; it remains if git was killed.
    half_made = lock.is_file() and lock.read_text(errors="replace").startswith("initializing")
    needed = (registration / "HEAD", registration / "commondir", folder / "HEAD")
    return not half_made and all(each.is_file() for each in needed)


def create(project: Project, paths: WorktreePaths, commit: str) -> None:
    """Creates the worktree without files, and replaces anything that remains at its path."""
    unregister(project, paths)
    files.remove(paths.worktree)
    files.remove(paths.index)
    paths.worktree.parent.mkdir(parents=True, exist_ok=True)
    add(project, paths.worktree, commit)


def add(project: Project, path: Path, commit: str) -> None:
    """Creates a worktree without files at a path that does not exist; `attach` sets its branch later."""
    failpoint("create.before_add")
    worktree_registration.add(project.common, path, commit)
    failpoint("create.after_add")


def unregister(project: Project, paths: WorktreePaths) -> None:
    """Removes the worktree's registration in git. Never prunes: other worktrees may be on a disk that is not mounted."""
    unregister_at(project, paths.worktree)
    files.remove(git_folder_of(paths.worktree))


def unregister_at(project: Project, path: Path) -> None:
    """Removes the registration of the worktree at any path. Never prunes, like `unregister`."""
    folder = find_at(project, path)
    if folder:
        files.remove(folder)
        with suppress(OSError):  # the repository has other worktrees
            folder.parent.rmdir()


def repair(project: Project, paths: WorktreePaths) -> Path:
    """Makes the worktree's .git file point to its git folder again; returns that folder. Raises WORKTREE_DAMAGED.

    If an agent created a repository in place of the .git file, moves it next to the worktree.
    """
    registration = find_at(project, paths.worktree)
    if registration is None or not is_complete(project, paths):
        raise damaged(paths)
    free_branch(project, paths.epic)
    worktree_views.remove_locks(paths.worktree)
    branch = refs.branch_ref(paths.epic.branch)
    folder = worktree_views.make(paths.worktree, project.common, registration, branch)
    commondir = registration / "commondir"
    if commondir.is_symlink() or commondir.read_text(errors="surrogateescape") != _COMMONDIR:
        files.write_atomically(commondir, _COMMONDIR)
    pointer = paths.worktree / ".git"
    text = f"gitdir: {folder}\n"
    if pointer.is_dir() and not pointer.is_symlink():
        paths.replaced.mkdir(exist_ok=True)
        pointer.rename(paths.replaced / str(len(list(paths.replaced.iterdir())) + 1))
    if pointer.is_symlink() or not pointer.is_file() or pointer.read_text(errors="surrogateescape") != text:
        files.remove(pointer)
        pointer.write_text(text, errors="surrogateescape")
    return folder


def free_branch(project: Project, epic: EpicName) -> None:
    """Removes the lock of a git process that was killed while it moved the epic's branch.

    Nothing else moves the branch now, because the agent has ended, and calls for one epic never overlap.
    """
    (project.common / f"{refs.branch_ref(epic.branch)}.lock").unlink(missing_ok=True)


def damaged(paths: WorktreePaths) -> errors.HeddleError:
    """Returns the error for a worktree that is missing or no longer intact."""
    return errors.HeddleError(
        pb.ERROR_REASON_WORKTREE_DAMAGED,
        f"the worktree {paths.worktree} was moved, replaced or removed. Start another attempt:"
        " it recreates the worktree from the last accepted commit.",
        path=paths.worktree,
    )


def head_commit(project: Project, paths: WorktreePaths) -> str | None:
    """Returns the commit of the worktree's HEAD; None if it has none, or if the project does not have it."""
    found = head_name(project, paths)
    return refs.resolve(project.git, found) if found else None


def head_name(project: Project, paths: WorktreePaths) -> str | None:
    """Returns the ID of the commit of the worktree's HEAD, which the project may not have; None if there is none."""
    folder = find(project, paths)
    return worktree_views.head_of(paths.worktree, folder) if folder else None


def is_on_epic_branch(project: Project, paths: WorktreePaths) -> bool:
    """Returns whether the worktree's HEAD names the epic's branch, as EnsureWorktree set it."""
    folder = find(project, paths)
    if folder is None or not (folder / "HEAD").is_file():
        return False
    text = (folder / "HEAD").read_text(errors="replace").strip()
    return text == f"ref: {refs.branch_ref(paths.epic.branch)}"


def attach(project: Project, paths: WorktreePaths, folder: Path) -> None:
    """Puts HEAD on the epic's branch, ends unfinished operations and replaces the agent's index."""
    for pattern in LEFTOVERS:
        for path in folder.glob(pattern):
            files.remove(path)
    head = f"ref: {refs.branch_ref(paths.epic.branch)}\n"
    files.write_atomically(folder / "HEAD", head)
    registration = find_at(project, paths.worktree)
    if registration and (registration / "HEAD").read_text(errors="surrogateescape") != head:
        files.write_atomically(registration / "HEAD", head)
    if paths.index.exists():
        files.copy_atomically(paths.index, folder / "index")
    else:
        files.remove(folder / "index")


def reset(
    project: Project,
    paths: WorktreePaths,
    head: str,
    *,
    new: bool = False,
    prepared: str | None = None,
    makers: int = 1,
) -> None:
    """Resets the worktree to exactly `head` on the epic's branch; keeps files that git ignores.

    `new`: no attempt has worked there yet. `prepared`: the commit whose files the worktree already contains.
    `makers`: the number of worktrees that are being created now, including this one.
    """
    # What they contain belongs to the previous attempt and has been kept with that attempt's work.
    worktree_views.clear(paths.worktree)
    folder = repair(project, paths)
    failpoint("reset.before_move")
    branch = refs.branch_ref(paths.epic.branch)
    refs.update(project.git, [refs.RefUpdate(branch, head, None)])
    worktree_views.set_branch(paths.worktree, branch, head)
    failpoint("reset.after_move")
    git = project.git.at(paths.worktree, index=paths.index).sharing_cores(makers)
    files.remove(paths.index.with_name(f"{paths.index.name}.lock"))
    if not new:
        # Old screenshots, even if the project ignores them; tracked files in these folders are restored below.
        for name in ARTIFACTS:
            files.remove(paths.worktree / name)
    if prepared != head:
        run_with_unlock(git, "read-tree", "--reset", "-u", head)
    failpoint("reset.before_clean")
    if not new:
        # With --force twice, git also removes folders that are repositories.
        run_with_unlock(git, "clean", "--quiet", "-d", "--force", "--force")
    failpoint("reset.after_clean")
    attach(project, paths, folder)


def run_with_unlock(git: Git, *arguments: str, stdin: bytes = b"") -> None:
    """Runs git on a worktree's files; if git fails, restores all permissions and runs it once more."""
    if git.run(*arguments, stdin=stdin).code:
        files.unlock(git.folder)
        git.text(*arguments, stdin=stdin)

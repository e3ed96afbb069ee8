"""Manages the git folder of one worktree, with its HEAD, index and unfinished operations.

The file .git in the worktree points to that folder, which is in the worktree's view of the repository
(git/worktree_views.py). An agent may have changed both in any way. The repository itself registers the worktree in
worktrees/NAME, where no agent writes.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from heddle import errors, pb
from heddle.failpoints import failpoint
from heddle.files import beneath
from heddle.files.worktree_paths import git_folder_of, view_of
from heddle.names import EpicName
from worktree_svc.content import special_files
from worktree_svc.git import refs, worktree_registration, worktree_views
from worktree_svc.git.process.command import Git, decode, encode
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


_MOST_TEXT_BYTES: Final = 64 << 10

# Where worktrees were found, to look there first: a repository may have hundreds.
_registrations: Final[dict[Path, Path]] = {}
_MOST_REGISTRATIONS: Final = 1_000


def find(project: Project, paths: WorktreePaths) -> Path | None:
    """Returns the git folder of an epic's worktree; None if git has no such worktree."""
    registration = find_at(project, paths.worktree)
    return _git_folder(paths, registration) if registration else None


def _git_folder(paths: WorktreePaths, registration: Path) -> Path:
    """Returns the git folder of a worktree; in worktrees of earlier versions, it is the registration."""
    own = git_folder_of(paths.worktree)
    return own if own.is_dir() and not own.is_symlink() else registration


def find_at(project: Project, path: Path) -> Path | None:
    """Returns the registration of the worktree at any path; None if git has no such worktree."""
    known = _registrations.get(path)
    if known and known.parent.parent == project.common and _registers(known, path):
        return known
    pointer = str(path / ".git")
    folders = (folder for folder, text in _registered(project.common) if text == pointer)
    found = next((folder for folder in folders if not folder.is_symlink()), None)
    if found:
        if len(_registrations) >= _MOST_REGISTRATIONS:
            _registrations.clear()
        _registrations[path] = found
    return found


def _registered(repository: Path) -> Iterator[tuple[Path, str]]:
    """Yields the registrations of a repository's worktrees, and what each says where its worktree is."""
    parent = f"{repository}/worktrees"
    try:
        # A Path for each of hundreds would take longer than reading them.
        names = os.listdir(parent)  # noqa: PTH208 (see above)
    except OSError:
        return
    for name in names:
        if text := _text(f"{parent}/{name}/gitdir").strip():
            yield repository / "worktrees" / name, text


def _registers(registration: Path, worktree: Path) -> bool:
    """Returns whether a folder below `worktrees` of a repository is the registration of this worktree."""
    return _text(registration / "gitdir").strip() == str(worktree / ".git") and not registration.is_symlink()


def has_nested_worktrees(project: Project, paths: WorktreePaths) -> bool:
    """Returns whether the agent created other worktrees of the project inside this one.

    CommitTask excludes these.
    """
    inside = f"{paths.worktree}/"
    return any(
        text.startswith(inside) and paths.worktree in Path(text).parent.parents and Path(text).is_file()
        for repository in repositories(project, paths)
        for _, text in _registered(repository)
    )


def repositories(project: Project, paths: WorktreePaths) -> tuple[Path, ...]:
    """Returns the git folders in which an agent's nested worktrees may be registered."""
    return project.common, view_of(paths.worktree)


def belongs_to(folder: Path, repositories: Collection[Path]) -> bool:
    """Returns whether `folder` is a linked worktree of one of the repositories, given by their git folders."""
    target = _text(folder / ".git").removeprefix("gitdir: ").strip()
    return bool(target) and Path(folder, target).resolve().parent in {
        each / "worktrees" for each in repositories
    }


def exists(paths: WorktreePaths) -> bool:
    """Returns whether the worktree's folder exists; its content does not matter."""
    return paths.worktree.is_dir() and not paths.worktree.is_symlink()


def is_complete(project: Project, paths: WorktreePaths) -> bool:
    """Returns whether the worktree exists and is completely registered in git."""
    registration = find_at(project, paths.worktree)
    return registration is not None and _is_whole(paths, registration)


def _is_whole(paths: WorktreePaths, registration: Path) -> bool:
    if not exists(paths):
        return False
    # The reason with which git locks a worktree while creating it; it remains if git was killed.
    half_made = _text(registration / "locked").startswith("initializing")
    needed = (registration / "HEAD", registration / "commondir", _git_folder(paths, registration) / "HEAD")
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
    """Removes the registration of the worktree at any path. Never prunes, like `unregister`.

    Keeps the folder of all registrations, even if it is empty: a `git worktree add` of the user that is just
    creating its own registration there would fail.
    """
    folder = find_at(project, path)
    _registrations.pop(path, None)
    if folder:
        files.remove(folder)


def repair(project: Project, paths: WorktreePaths) -> Path:
    """Makes the worktree's .git file point to its git folder again; returns that folder. Raises WORKTREE_DAMAGED.

    If an agent created a repository in place of the .git file, moves it next to the worktree.
    """
    registration = find_at(project, paths.worktree)
    if registration is None or not _is_whole(paths, registration):
        raise damaged(paths)
    # Agents of earlier versions could write to the registration.
    for repository in (registration, view_of(paths.worktree)):
        special_files.remove_from_repository(repository)
    free_branch(project, paths.epic)
    worktree_views.remove_locks(paths.worktree)
    branch = refs.branch_ref(paths.epic.branch)
    folder = worktree_views.make(paths.worktree, project.common, registration, branch)
    if _text(registration / "commondir") != _COMMONDIR:
        files.write_atomically(registration / "commondir", _COMMONDIR)
    pointer = paths.worktree / ".git"
    text = f"gitdir: {folder}\n"
    if pointer.is_dir() and not pointer.is_symlink():
        paths.replaced.mkdir(exist_ok=True)
        pointer.rename(paths.replaced / str(len(list(paths.replaced.iterdir())) + 1))
    if _text(pointer) != text:
        files.remove(pointer)
        beneath.create(paths.worktree, ".git", encode(text))
    return folder


def _text(file: Path | str) -> str:
    """Returns the content of one of git's small files; empty if it is not a regular file."""
    try:
        return decode(beneath.read_file(file, _MOST_TEXT_BYTES))
    except OSError:
        return ""


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


def head_commit(project: Project, paths: WorktreePaths, folder: Path) -> str | None:
    """Returns the commit of HEAD in the worktree's git folder; None if there is none, or the project does not have it."""
    found = worktree_views.head_of(paths.worktree, folder)
    return refs.resolve(project.git, found) if found else None


def head_name(project: Project, paths: WorktreePaths) -> str | None:
    """Returns the ID of the commit of the worktree's HEAD, which the project may not have; None if there is none."""
    folder = find(project, paths)
    return worktree_views.head_of(paths.worktree, folder) if folder else None


def is_on_epic_branch(paths: WorktreePaths, folder: Path) -> bool:
    """Returns whether HEAD in the worktree's git folder names the epic's branch, as EnsureWorktree set it."""
    return _text(folder / "HEAD").strip() == f"ref: {refs.branch_ref(paths.epic.branch)}"


def attach(project: Project, paths: WorktreePaths, folder: Path) -> None:
    """Puts HEAD on the epic's branch, ends unfinished operations and replaces the agent's index."""
    for pattern in LEFTOVERS:
        for path in folder.glob(pattern):
            files.remove(path)
    head = f"ref: {refs.branch_ref(paths.epic.branch)}\n"
    if _text(folder / "HEAD") == head:
        # Its time tells sessions without a sandbox that this service changed the worktree.
        os.utime(folder / "HEAD", follow_symlinks=False)
    else:
        files.write_atomically(folder / "HEAD", head)
    registration = find_at(project, paths.worktree)
    if registration and _text(registration / "HEAD") != head:
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
    if not refs.is_exactly(project.git, branch, head):
        refs.update(project.git, [refs.RefUpdate(branch, head, None)])
        worktree_views.set_branch(paths.worktree, branch, head)
    failpoint("reset.after_move")
    git = project.git.at(paths.worktree, index=paths.index).sharing_cores(makers)
    files.remove(paths.index.with_name(f"{paths.index.name}.lock"))
    if not new:
        special_files.remove(paths.worktree)
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

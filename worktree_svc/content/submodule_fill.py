"""Fills a worktree's submodules from the user's copies of their repositories; resets them between attempts.

Each submodule gets its own repository below the worktree's git folder, where `git submodule update`
also puts it. That repository borrows objects from an existing one. If the user has not fetched a
submodule and no attempt has committed in it, the submodule stays as it is, and setup can fill it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

import structlog

from heddle import urls
from heddle.errors import HeddleError
from worktree_svc.content import checkouts, submodules
from worktree_svc.git import private_folders
from worktree_svc.git.process.command import Git
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds for fetching a commit of a submodule that only its remote has.
_PATIENCE: Final = 120

_CONFIG: Final = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"


# The maximum size of a reason, in characters.
_MAX_REASON: Final = 500


class Unfilled(NamedTuple):
    """A submodule that the user has filled but the worktree does not have, by its path in the worktree."""

    path: str
    reason: str


class _NotFetchedError(Exception):
    """A commit of a submodule cannot be fetched; the message says why."""


@dataclass(frozen=True)
class _Level:
    """A repository whose submodules are filled: the worktree's, or a submodule's."""

    # For its files and its index.
    git: Git
    # Its own git folder, and the user's repository of it.
    own: Path
    users: Path
    # The folders below which repositories of submodules may be.
    roots: tuple[Path, ...]
    # The path of the worktree, and what could not be filled at any level so far.
    top: Path
    unfilled: list[Unfilled] = field(default_factory=list)


def fill(project: Project, path: Path, index: Path, own: Path) -> tuple[Unfilled, ...]:
    """Checks out the available submodules of the worktree at `path` at the commits in its index. Idempotent.

    `own` is the worktree's git folder. Discards the content of submodules, except for files that they ignore.
    Returns the submodules that failed; a submodule that the user has not filled is none of them.
    """
    level = _Level(project.git.at(path, index=index), own, project.common, (path, own), path)
    _fill(project, level)
    return tuple(level.unfilled)


def _fill(project: Project, level: _Level) -> None:
    git = level.git
    links = submodules.links(git)
    names = submodules.names(git) if links else {}
    filled = {path: name for path, name in names.items() if path in links and _is_safe(git, path, name)}
    _remove_others(level.own / "modules", filled.values())
    for path, name in filled.items():
        try:
            _fill_one(project, level, path, name, links[path])
        except (HeddleError, OSError, _NotFetchedError) as error:
            # The folder stays empty, as in git, and setup may fill it.
            at = git.folder / path
            log.warning("submodule_not_filled", path=str(at), error=str(error))
            level.unfilled.append(Unfilled(str(at.relative_to(level.top)), str(error)[:_MAX_REASON]))


def _is_safe(git: Git, path: str, name: str) -> bool:
    return submodules.is_inside(git.folder, path) and submodules.is_inside(Path("/nowhere"), name)


def _remove_others(modules: Path, names: Iterable[str]) -> None:
    """Removes repositories of former submodules, which git would use for new submodules of the same name."""
    if modules.is_symlink():
        files.remove(modules)
    kept = {PurePosixPath(name).parts[0] for name in names}
    for folder in modules.glob("*"):
        if folder.name not in kept or folder.is_symlink():
            files.remove(folder)


def _fill_one(project: Project, level: _Level, path: str, name: str, commit: str) -> None:
    at, users, own = (
        level.git.folder / path,
        submodules.below(level.users, name),
        level.own / "modules" / name,
    )
    found = submodules.find(at, level.roots)
    if found is None or not _reset(project, at, found, commit):
        try:
            source = _source(project, users, commit)
        except _NotFetchedError:
            _empty(at, found)
            raise
        if source is None:
            _empty(at, found)
            log.info("submodule_not_available", path=str(at), commit=commit)
            return
        if found is not None:
            files.remove(at)
        found = own
        _make(at, own, users, source)
        _reset(project, at, own, commit)
    with submodules.opened(project, found) as git:
        inside = replace(level, git=git.at(at, index=found / "index"), own=found, users=users)
        _fill(project, inside)


def _empty(at: Path, found: Path | None) -> None:
    """Removes the content of a submodule whose repository `found` does not have the right commit."""
    if found is not None or (at / ".git").is_symlink():
        files.remove(at)
        at.mkdir()


def _source(project: Project, users: Path, commit: str) -> Path | None:
    """Returns the object folder that contains a commit of a submodule; None if the user has not filled it.

    Raises _NotFetchedError if the user has filled it, but neither its repository nor its remote has the commit.
    """
    with submodules.keepers(project, users) as found:
        for git in found:
            if git.object_id(f"{commit}^{{commit}}"):
                break
        else:
            return None if len(found) == 1 else _fetched(project, users, found[0], commit)
        return project.common / "objects" if git is found[-1] else users / "objects"


def _fetched(project: Project, users: Path, git: Git, commit: str) -> Path:
    """Fetches a commit into the user's repository of a submodule; returns its object folder.

    Raises _NotFetchedError.
    """
    configured = Git(users, git_dir=users).run("config", "--get", "remote.origin.url").stdout
    url = configured.decode(errors="surrogateescape").strip()
    ref = f"{submodules.KEPT}/{commit}"
    options = (
        "--quiet",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
    )
    lacks = f"{users} does not have its commit {commit[:10]}"
    if not url:
        raise _NotFetchedError(f"{lacks}, and no remote named origin")
    output = git.run("fetch", *options, "--", url, f"{commit}:{ref}", seconds=_PATIENCE)
    if output.code:
        told = output.stderr.strip() or f"git fetch ended with code {output.code}"
        raise _NotFetchedError(
            f"{lacks}, and it cannot be fetched from {urls.redacted(url)}: {urls.redacted(told)}"
        )
    log.info("submodule_fetched", project=str(project.top), commit=commit)
    return users / "objects"


def _make(at: Path, own: Path, users: Path, objects: Path) -> None:
    """Creates the repository of a submodule, without files and commits; it borrows `objects`."""
    files.remove(own)
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (own / name).mkdir(parents=True)
    (own / "objects" / "info" / "alternates").write_text(f"{objects}\n", errors="surrogateescape")
    is_users = objects.parent == users
    settings = private_folders.harmless(users) if is_users else _CONFIG
    tree = private_folders.setting("core.worktree", str(at))
    (own / "config").write_text(settings + tree, errors="surrogateescape")
    if is_users and (users / "shallow").is_file():
        (own / "shallow").write_bytes((users / "shallow").read_bytes())
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    at.mkdir(parents=True, exist_ok=True)
    files.remove(at / ".git")
    (at / ".git").write_text(f"gitdir: {own}\n", errors="surrogateescape")


def _reset(project: Project, at: Path, own: Path, commit: str) -> bool:
    """Resets a submodule to exactly `commit`, except for ignored files; returns False if that is impossible."""
    with submodules.opened(project, own) as plain:
        if not plain.object_id(f"{commit}^{{commit}}"):
            return False
        index = Path(plain.folder, "index")
        git = plain.at(at, index=index)
        git.text("read-tree", commit)
        # Refreshing the index finds unchanged files, so git does not write them again.
        git.run("update-index", "-q", "--refresh")
        checkouts.run_with_unlock(git, "read-tree", "--reset", "-u", commit)
        checkouts.run_with_unlock(git, "clean", "--quiet", "-d", "--force", "--force")
        for pattern in checkouts.LEFTOVERS:
            for path in own.glob(pattern):
                files.remove(path)
        files.remove(own / "index")
        files.copy_atomically(index, own / "index")
        files.write_atomically(own / "HEAD", f"{commit}\n")
    return True

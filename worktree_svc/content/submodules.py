"""Submodules: finds their repositories, and keeps the commits that were made inside them.

A worktree's submodule has its own repository below the worktree's git folder, which is
removed with the worktree. Its commits are therefore copied into the user's repository of
the submodule (.git/modules/NAME), or into the project's repository if that does not exist.
There they are kept under refs/heddle/submodules/COMMIT.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from heddle.files import beneath
from worktree_svc.git import private_folders, refs
from worktree_svc.git.process import quarantine
from worktree_svc.git.process.command import QUARANTINE, SCRATCH, Git, decode, failure
from worktree_svc.projects.repository import Project

KEPT: Final = "refs/heddle/submodules"

_FILE: Final = ".gitmodules"

# The mode of a submodule in an index file, in 4 bytes.
_MARK: Final = b"\x00\x00\xe0\x00"


_MOST_POINTER_BYTES: Final = 64 << 10


def links(git: Git) -> dict[str, str]:
    """Returns the commit of each submodule in the index of `git`, by path."""
    if git.index is None or _MARK not in git.index.read_bytes():
        return {}
    found = {}
    for line in git.items("ls-files", "--stage", "-z"):
        entry, _, path = line.partition("\t")
        mode, commit, _ = entry.split(" ")
        if mode == "160000":
            found[path] = commit
    return found


def names(git: Git, commit: str = "") -> dict[str, str]:
    """Returns each submodule's name by path, from .gitmodules on the disk or in `commit`."""
    if commit:
        source = ("--blob", f"{commit}:{_FILE}")
    else:
        file = git.folder / _FILE
        if file.is_symlink() or not file.is_file():
            return {}
        source = ("--file", _FILE)
    pattern = r"^submodule\..*\.path$"
    output = git.run("config", *source, "--no-includes", "--null", "--get-regexp", pattern)
    pairs = (entry.partition("\n") for entry in decode(output.stdout).split("\0") if entry)
    return {
        path.removesuffix("/"): key.removeprefix("submodule.").removesuffix(".path") for key, _, path in pairs
    }


def is_inside(folder: Path, path: str) -> bool:
    """Returns whether `path` stays in `folder` and contains no link."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or ".git" in parts or path.startswith("/"):
        return False
    above = [folder.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)]
    return not any(each.is_symlink() for each in above)


def find(at: Path, roots: Sequence[Path]) -> Path | None:
    """Returns the repository of the submodule at `at`; None if it does not exist or is outside `roots`."""
    pointer = at / ".git"
    if pointer.is_symlink():
        return None
    if not pointer.is_dir():
        try:
            text = decode(beneath.read_file(pointer, _MOST_POINTER_BYTES)).strip()
        except OSError:
            return None
        pointer = at / text.removeprefix("gitdir:").strip()
    found = pointer.resolve()
    inside = any(found.is_relative_to(root.resolve()) for root in roots)
    whole = (found / "HEAD").is_file() and (found / "objects").is_dir()
    return found if inside and whole and not (found / "commondir").exists() else None


def below(repository: Path, name: str) -> Path:
    """Returns the path of submodule `name`'s repository; a nonexistent path if `name` escapes the folder."""
    parent = repository / "modules"
    return parent / name if name and is_inside(parent, name) else parent / ".none"


@contextmanager
def opened(project: Project, repository: Path) -> Iterator[Git]:
    """Yields git for a submodule's repository, with the service's own configuration."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=project.private) as name:
        folder = Path(name)
        private_folders.make(folder, repository, remotes=False)
        yield Git(folder, git_dir=folder)


@contextmanager
def keepers(project: Project, users: Path) -> Iterator[list[Git]]:
    """Yields the repositories that may keep a submodule's commits: any copy of the user, then the project's."""
    if (users / "HEAD").is_file() and (users / "objects").is_dir():
        with opened(project, users) as git:
            yield [git, project.git]
    else:
        yield [project.git]


def keep(project: Project, users: Path, commit: str, objects: Path) -> None:
    """Keeps a submodule's commit and all objects that it needs under a ref; raises GIT_FAILED. Idempotent.

    `users` is the path of the user's repository of the submodule, which may not exist; `objects` is the object folder
    that contains the commit.
    """
    ref = f"{KEPT}/{commit}"
    with keepers(project, users) as found:
        if any(refs.read(git, ref)[0] == commit for git in found):
            return
        git = found[0]
        _bring(git, commit, objects, scope=[] if len(found) > 1 else [KEPT])
        # Another epic may keep the same commit at the same time.
        refs.update(git, [refs.RefUpdate(ref, commit, None)])


def _bring(git: Git, commit: str, objects: Path, scope: list[str]) -> None:
    """Copies a commit and all objects that it needs into a repository.

    The object IDs are computed again from the content.
    """
    if git.git_dir is None:
        raise RuntimeError("copying objects needs a known repository")
    tips = sorted(set(git.text("for-each-ref", "--format=%(objectname)", *scope).split()))
    wanted = "".join(f"{line}\n" for line in (commit, *(f"^{tip}" for tip in tips))).encode()
    own = Path(os.path.realpath(git.git_dir / "objects"))
    with tempfile.TemporaryDirectory(prefix=QUARANTINE, dir=own) as name:
        packs = Path(name, "pack")
        packs.mkdir()
        replace(git, alternate_objects=objects).text(
            "pack-objects", "--quiet", "--revs", str(packs / "pack"), stdin=wanted
        )
        for pack in packs.glob("*.pack"):
            git.text("index-pack", str(pack))
        quarantine.migrate(Path(name), own)
    arguments = ("rev-list", "--objects", "--quiet", "--stdin")
    checked = git.run(*arguments, stdin=wanted)
    if checked.code:
        raise failure(arguments, checked)

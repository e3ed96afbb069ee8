"""Provides files that are not in the commit to each worktree: copies of files, and links to folders.

Sources are in the user's checkout or in a folder that Heddle keeps for the
project, never outside them, not even through links. Tracked files are not
changed, and provided files are never committed. A link to a folder of the checkout
lets agents change files there that run as the user, so only the operator can allow it.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from heddle import globs, pb
from heddle.files import beneath
from heddle.plan.values.text_rules import shown
from heddle.plan.yaml.source import Problem
from heddle.project.rules import is_glob
from worktree_svc.git.process.command import readable
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files
from worktree_svc.storage.worktree_store import WorktreePaths

# The most copied files per worktree. More files are an error; such a folder should be linked instead.
MOST_FILES: Final = 10_000

_ROOT: Final = Path("/")

# Characters with a special meaning in exclude files, and how they are escaped there.
_SPECIAL: Final = re.compile(r"([\\*?\[\] ])")
_ESCAPED: Final = r"\\\1"


@dataclass
class Provisions:
    """The files to provide, by path in the worktree, and the problems that prevent this for some files."""

    copies: dict[str, Path] = field(default_factory=dict)
    links: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def plan(project: Project, file: pb.ProjectFile, commit: str) -> Provisions:
    """Returns what to provide in a worktree at `commit`. Changes only the project's shared folders.

    Nothing is copied from or linked to a bare repository, because it has no checkout.
    """
    found = Provisions()
    if not (file.copy or file.link):
        return found
    tracked = set(project.git.items("ls-tree", "-r", "-z", "--name-only", commit))
    for index, link in enumerate(file.link):
        _plan_link(project, link, f"link[{index}].path", tracked, found)
    if not project.bare:
        for index, wanted in enumerate(file.copy):
            _plan_copy(project, wanted, f"copy[{index}]", tracked, found)
    return found


def provide(paths: WorktreePaths, provisions: Provisions) -> None:
    """Provides everything in the worktree, and replaces what exists at those paths. Idempotent."""
    # This comes first: files that are never committed must be excluded before they exist.
    excluded = sorted([*provisions.copies, *provisions.links])
    files.write_atomically(paths.exclude, "".join(_exclusion(path) for path in excluded))
    for path, source in provisions.copies.items():
        _clear(paths.worktree, path)
        # A planned source contains no link. One that was put there since is an error.
        with (
            beneath.open_file(_ROOT, source.relative_to(_ROOT)) as original,
            beneath.new_file(paths.worktree, path) as copy,
        ):
            shutil.copyfileobj(original, copy)
            os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(original.fileno()).st_mode))
    for path, source in provisions.links.items():
        _clear(paths.worktree, path)
        with beneath.folder(paths.worktree, PurePosixPath(path).parent, create=True) as parent:
            os.symlink(source, PurePosixPath(path).name, dir_fd=parent)


def _plan_copy(project: Project, wanted: str, field: str, tracked: set[str], found: Provisions) -> None:
    top = project.top.resolve()
    names = list(_matches(top, wanted))
    if not names and not is_glob(wanted):
        advice = f"create it, or write {wanted}* if it is optional"
        found.problems.append(_problem(field, f"{shown(wanted)} is not in {project.top}; {advice}"))
    for name in names:
        source = (top / name).resolve()
        if name in tracked:
            if name == wanted:
                message = (
                    f"{shown(name)} is tracked by git, so every worktree has it; remove it from the list"
                )
                found.problems.append(_problem(field, message))
        elif _inside(source, top) and source.is_file() and "\n" not in name:
            if not any(str(parent) in {*tracked, *found.links} for parent in PurePosixPath(name).parents):
                found.copies[name] = source
        elif not source.is_dir():
            message = (
                f"{shown(readable(name))} is not a file of the checkout, or is a link that leads out of it"
            )
            found.problems.append(_problem(field, message))
        if len(found.copies) > MOST_FILES:
            message = f"more than {MOST_FILES:,} files would be copied; link their folder, or name fewer"
            found.problems.append(_problem(field, message))
            return


def _plan_link(
    project: Project, link: pb.LinkedFolder, field: str, tracked: set[str], found: Provisions
) -> None:
    path = str(PurePosixPath(link.path))
    parents = {str(parent) for parent in PurePosixPath(path).parents}
    if (
        path in tracked
        or tracked.intersection(parents)
        or any(each.startswith(f"{path}/") for each in tracked)
    ):
        found.problems.append(_problem(field, f"{shown(path)} is tracked by git, so it cannot be a link"))
        return
    if link.source == pb.LINK_SOURCE_CACHE:
        root = project.cache
        root.mkdir(parents=True, exist_ok=True)
        root = root.resolve()
        if _inside((root / path).resolve(), root):
            (root / path).mkdir(parents=True, exist_ok=True)
    elif project.bare:
        return
    else:
        root = project.top.resolve()
    source = (root / path).resolve()
    if link.source != pb.LINK_SOURCE_CACHE and not _is_linkable(project, source):
        message = (
            f"{shown(path)} would let agents change a folder of your checkout, which this worker does not allow; write"
            f" {{path: {path}, source: cache}}, or set HEDDLE_LINKED_CHECKOUTS={root / path} for worktree_svc"
            " (heddle up) if you accept it"
        )
        found.problems.append(_problem(field, message))
        return
    if not _inside(source, root) or not source.is_dir():
        advice = "create it, or let Heddle keep it with source: cache"
        message = f"{shown(path)} is not a folder in {root}, or is a link that leads out of it; {advice}"
        found.problems.append(_problem(field, message))
        return
    found.links[path] = source


def _is_linkable(project: Project, source: Path) -> bool:
    return any(source.is_relative_to(allowed.resolve()) for allowed in project.linkable)


def _matches(top: Path, wanted: str) -> Iterator[str]:
    """Yields the files that an entry of `copy` names, directly or by their folder, relative to `top`.

    Skips .git folders and nested repositories.
    """
    pattern = globs.pattern(wanted)
    parts = [part for part in PurePosixPath(wanted).parts if part != "."]
    if not is_glob(wanted) and not (top / wanted).is_dir():
        if (top / wanted).is_symlink() or (top / wanted).exists():
            yield str(PurePosixPath(wanted))
        return
    for folder, names, file_names in os.walk(top):
        above = Path(folder).relative_to(top)
        for name in file_names:
            path = str(above / name)
            if pattern.fullmatch(path):
                yield path
        for name in [*names]:
            inner = Path(folder, name)
            if inner.is_symlink():
                if pattern.fullmatch(str(above / name)):
                    yield str(above / name)
            elif name != ".git" and not (inner / ".git").exists() and _may_hold(parts, (above / name).parts):
                continue
            names.remove(name)


def _may_hold(parts: list[str], folder: tuple[str, ...]) -> bool:
    """Returns whether a folder can contain a path that matches a glob with these parts."""
    for part, name in zip(parts, folder, strict=False):
        if part == globs.ANY_DEPTH:
            return True
        if not globs.pattern(part).fullmatch(name):
            return False
    return True


def _inside(path: Path, root: Path) -> bool:
    return path.is_relative_to(root) and ".git" not in path.relative_to(root).parts


def _exclusion(path: str) -> str:
    """Returns the exclude file's line for one path."""
    return f"/{_SPECIAL.sub(_ESCAPED, path)}\n"


def _clear(worktree: Path, path: str) -> None:
    """Removes what is at `path`, and what is in place of the folders above it, for example links."""
    folder = worktree
    *above, name = PurePosixPath(path).parts
    for part in above:
        folder /= part
        if folder.is_symlink() or not folder.is_dir():
            files.remove(folder)
            return
    files.remove(folder / name)


def _problem(field: str, message: str) -> Problem:
    return Problem(0, 0, field, message)

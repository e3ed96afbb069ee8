"""Makes the commit of a person's resolution of a conflict; an attempt then starts with its files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from heddle import errors, pb
from worktree_svc.content import agent_merges
from worktree_svc.git import refs
from worktree_svc.git.process.command import Git, encode, readable
from worktree_svc.merges import conflict_files
from worktree_svc.merges.conflict_files import File, Region, Version
from worktree_svc.projects.repository import Project

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_OURS: Final = pb.RESOLUTION_SIDE_OURS
_THEIRS: Final = pb.RESOLUTION_SIDE_THEIRS

# The mode of nothing: `git update-index` removes the path.
_NOTHING: Final = "0"

_MARKER: Final = re.compile(rb"^(<{7}|>{7}|\|{7}) ", re.MULTILINE)

# Characters that no path may have, and the most bytes of a file's name on common file systems.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME: Final = 255

_LINE_END: Final = re.compile(rb"\r?\n")


def make(project: Project, request: pb.MakeResolutionRequest) -> str:
    """Returns the commit, with both sides as parents; a ref keeps it.

    Raises CONFLICT_MOVED, CONFLICT_UNDECIDED if the choices miss a file, MARKERS_LEFT, and INVALID_FIELD.
    """
    found = conflict_files.sides(project, request)
    with project.git.with_batched_objects() as git:
        conflict = conflict_files.find(git, found)
        chosen = {each.index: each for each in request.files}
        _check_complete(conflict.files, chosen)
        entries: dict[str, Version] = {}
        new_paths: list[str] = []
        for index, file in enumerate(conflict.files):
            path, version = _entry(git, file, chosen[index])
            if path != file.path:
                entries[file.path] = _removed(conflict.tree)
                _check_free(git, conflict.tree, file, path, entries)
                new_paths.append(path)
            entries[path] = version or _removed(conflict.tree)
        tree = _tree(git, conflict.tree, entries)
        _check_changes(git, conflict.tree, tree, entries, new_paths)
        agent_merges.check_markers(git, tree, [found.ours, found.theirs])
        message = f"Resolution of the merge of {found.target} into {found.epic.branch}\n"
        parents = ("-p", found.ours, "-p", found.theirs)
        author = git.with_author(project.author())
        commit = author.text("commit-tree", *parents, tree, stdin=message.encode())
    refs.update(project.git, [refs.RefUpdate(refs.resolution_ref(found.epic, commit), commit, None)])
    log.info("resolution_made", epic=str(found.epic), commit=commit)
    return commit


def _check_complete(files: Sequence[File], chosen: Mapping[int, pb.FileResolution]) -> None:
    unknown = [index for index in chosen if not 0 <= index < len(files)]
    if unknown:
        raise errors.invalid_field("files", f"there is no file {unknown[0]} in this conflict")
    missing = [
        file.path
        for index, file in enumerate(files)
        if not (index in chosen and chosen[index].WhichOneof("content"))
    ]
    if missing:
        named = agent_merges.listed(missing)
        raise errors.HeddleError(
            pb.ERROR_REASON_CONFLICT_UNDECIDED, f"nothing is decided about {named}", files=named
        )


def _entry(git: Git, file: File, choice: pb.FileResolution) -> tuple[str, Version | None]:
    """Returns the path that the file gets, and what is chosen for it; None: it is removed."""
    if choice.WhichOneof("content") == "side":
        if choice.side not in {_OURS, _THEIRS}:
            raise _invalid(file, "takes one side")
        version = file.ours if choice.side == _OURS else file.theirs
    else:
        content = _content(git, file, choice)
        written = git.text("hash-object", "-w", "--stdin", stdin=content)
        version = Version(_mode(file, choice), written)
    return _new_path(file, choice) if file.made_up and version else file.path, version


def _check_free(git: Git, tree: str, file: File, path: str, entries: Mapping[str, Version]) -> None:
    if path in entries or git.object_id(f"{tree}:{path}"):
        raise _invalid(file, f"cannot become {readable(path)}: that exists")


def _removed(tree: str) -> Version:
    return Version(_NOTHING, "0" * len(tree))


def _mode(file: File, choice: pb.FileResolution) -> str:
    if not file.has_modes:
        return file.mode
    version = {_OURS: file.ours, _THEIRS: file.theirs}.get(choice.mode)
    if version is None:
        raise _invalid(file, "needs a mode: the sides have different ones")
    return version.mode


def _content(git: Git, file: File, choice: pb.FileResolution) -> bytes:
    """Returns the chosen content of a text file; raises MARKERS_LEFT if what a person wrote has markers."""
    if file.form != pb.CONFLICT_FORM_TEXT:
        raise _invalid(file, "cannot be edited as text: take one side of it")
    if choice.WhichOneof("content") == "whole":
        _check_written(file, choice.whole)
        return choice.whole
    parts = conflict_files.parts(git, file)
    regions = iter(choice.regions.choices)
    if sum(isinstance(each, Region) for each in parts) != len(choice.regions.choices):
        raise _invalid(file, "needs one choice for each region")
    return b"".join(
        _of_region(file, each, next(regions)) if isinstance(each, Region) else each for each in parts
    )


def _of_region(file: File, region: Region, choice: pb.RegionChoice) -> bytes:
    if choice.WhichOneof("content") == "text":
        _check_written(file, choice.text)
        return choice.text
    match choice.side:
        case pb.RESOLUTION_SIDE_OURS:
            return region.ours
        case pb.RESOLUTION_SIDE_THEIRS:
            return region.theirs
        case pb.RESOLUTION_SIDE_OURS_THEN_THEIRS:
            return _joined(region.ours, region.theirs)
        case pb.RESOLUTION_SIDE_THEIRS_THEN_OURS:
            return _joined(region.theirs, region.ours)
    raise _invalid(file, "has a region without a choice")


def _joined(first: bytes, second: bytes) -> bytes:
    """Returns both texts; a first one that does not end its last line gets a line end like its others."""
    if first and second and not first.endswith(b"\n"):
        end = _LINE_END.search(first) or _LINE_END.search(second)
        first += end[0] if end else b"\n"
    return first + second


def _check_written(file: File, text: bytes) -> None:
    if _MARKER.search(text):
        raise agent_merges.markers_left([file.path])


def _new_path(file: File, choice: pb.FileResolution) -> str:
    path = choice.new_path
    parts = path.split("/")
    unusable = _CONTROL.search(path) or any(
        part in {"", ".", ".."} or part.lower() == ".git" or len(part.encode()) > _LONGEST_NAME
        for part in parts
    )
    if not path or unusable:
        raise _invalid(file, "has a name that git made up: give the path that it gets, inside the project")
    return path


def _tree(git: Git, tree: str, entries: Mapping[str, Version]) -> str:
    """Returns a tree with these entries in place of those of `tree`."""
    if git.objects is None:
        raise RuntimeError("the index needs a folder of its own")
    index = Path(git.objects, "resolution-index")
    own = replace(git, index=index)
    own.raw("read-tree", tree)
    lines = "".join(f"{version.mode} {version.id}\t{path}\0" for path, version in entries.items())
    own.raw("update-index", "-z", "--index-info", stdin=encode(lines))
    return own.text("write-tree")


def _check_changes(
    git: Git, before: str, after: str, entries: Mapping[str, Version], new_paths: Sequence[str]
) -> None:
    """Raises INVALID_FIELD if git has left out a new path, or has removed a file for it: it reports neither."""
    changed = set(git.items("diff-tree", "-r", "-z", "--name-only", "--no-renames", before, after))
    if missing := [path for path in new_paths if path not in changed]:
        raise errors.invalid_field("files", f"{readable(missing[0])} is not a path that git accepts here")
    if lost := sorted(changed - entries.keys()):
        raise errors.invalid_field(
            "files", f"{readable(lost[0])} is a file: no new path can be below it, as in a folder"
        )


def _invalid(file: File, why: str) -> errors.HeddleError:
    return errors.invalid_field("files", f"{readable(file.path)} {why}")

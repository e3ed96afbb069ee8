"""The files in which an epic's merge conflicts, as a person resolves them; changes nothing.

`git merge-tree` finds the files, `git merge-file` the regions of a text file. Neither follows the reader's settings.
"""

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from heddle import errors, pb
from heddle.names import EpicName
from worktree_svc.git import refs
from worktree_svc.git.process.command import Git, decode, failure, readable
from worktree_svc.git.trees import is_binary
from worktree_svc.projects import branch_records, repository
from worktree_svc.projects.repository import Project

# A longer file is taken from one side as a whole.
MOST_TEXT: Final = 1 << 20

_LINK: Final = "120000"
_SUBMODULE: Final = "160000"

# The stages of a path in conflict, as git numbers them.
_BASE, _OURS, _THEIRS = "1", "2", "3"

# git writes markers at least this long, followed by these labels.
_MARK: Final = 31
_LABELS: Final = (b" ours", b" base", b"", b" theirs")

# `git merge-file` exits with the number of regions, up to this; above it, it has failed.
_MOST_REGIONS: Final = 127


class Version(NamedTuple):
    """A file on one side."""

    mode: str
    id: str


class Region(NamedTuple):
    """Lines in which both sides differ, and those of the common ancestor."""

    base: bytes
    ours: bytes
    theirs: bytes


@dataclass(frozen=True)
class File:
    """A path in conflict. A side without a file there is None."""

    path: str
    base: Version | None
    ours: Version | None
    theirs: Version | None
    form: "pb.ConflictForm.ValueType"
    note: str
    made_up: bool

    @property
    def has_modes(self) -> bool:
        """True: the sides differ in their modes, and neither alone changed it."""
        if self.form != pb.CONFLICT_FORM_TEXT or not (self.ours and self.theirs):
            return False
        before = self.base.mode if self.base else ""
        return self.ours.mode != self.theirs.mode and before not in {self.ours.mode, self.theirs.mode}

    @property
    def mode(self) -> str:
        """The mode of a text file, unless `has_modes`: that of the side that changed it."""
        if not (self.ours and self.theirs):
            raise RuntimeError("a text file has both sides")
        unchanged = self.base is not None and self.base.mode == self.ours.mode
        return self.theirs.mode if unchanged else self.ours.mode


@dataclass(frozen=True)
class Sides:
    """The two commits to merge: the epic's (ours) and that of the branch into which it is merged (theirs)."""

    epic: EpicName
    target: str
    ours: str
    theirs: str


class Conflict(NamedTuple):
    """The merge of both sides: its tree, in which text files have markers, and its files in conflict."""

    tree: str
    files: list[File]


def read(project: Project, request: pb.ReadConflictRequest) -> pb.ReadConflictResponse:
    """Returns the files in conflict, or the parts of the one that is asked for; raises INVALID_FIELD."""
    found = sides(project, request)
    with project.git.with_temporary_objects() as git:
        conflict = find(git, found)
        if not request.HasField("index"):
            return pb.ReadConflictResponse(conflict=_described(git, found, conflict))
        if not 0 <= request.index < len(conflict.files):
            raise errors.invalid_field("index", f"must be from 0 to {len(conflict.files) - 1}")
        return pb.ReadConflictResponse(parts=map(_part, parts(git, conflict.files[request.index])))


def sides(project: Project, request: pb.ReadConflictRequest | pb.MakeResolutionRequest) -> Sides:
    """Returns both commits as they are now.

    Raises CONFLICT_MOVED if the request names others, and UNKNOWN_REVISION.
    """
    epic, target = EpicName.parse(request.epic), request.target_branch
    expected = (request.source_commit, request.target_commit)
    accepted, tip = refs.read(project.git, refs.accepted_ref(epic), refs.branch_ref(epic.branch))
    ours = accepted or tip
    theirs = branch_records.commit_of(project, target, restore=False)
    if ours is None or theirs is None:
        raise repository.unknown_revision(project, target if ours else epic.branch)
    for branch, now, before in ((epic.branch, ours, expected[0]), (target, theirs, expected[1])):
        if before and now != before:
            raise errors.HeddleError(
                pb.ERROR_REASON_CONFLICT_MOVED,
                f"{branch} has moved from {before[:10]} to {now[:10]} since this conflict was read. Nothing was changed:"
                " read the conflict again, and check what you had decided",
                branch=branch,
                commit=now,
            )
    return Sides(epic, target, ours, theirs)


def find(git: Git, found: Sides) -> Conflict:
    """Merges both sides in memory. `git` should have a folder for temporary objects."""
    arguments = ("merge-tree", "--write-tree", "--messages", "-z", found.ours, found.theirs)
    output = git.run(*arguments)
    if output.code not in {0, 1}:
        raise failure(arguments, output)
    fields = iter(decode(output.stdout).split("\0")[:-1])
    tree = next(fields)
    stages: dict[str, dict[str, Version]] = {}
    for line in iter(lambda: next(fields, ""), ""):
        entry, _, path = line.partition("\t")
        mode, object_id, stage = entry.split(" ")
        stages.setdefault(path, {})[stage] = Version(mode, object_id)
    notes = _notes(fields)
    return Conflict(
        tree,
        [
            _file(git, path, stages[path], notes.get(path, ""), (found.ours, found.theirs))
            for path in sorted(stages)
        ],
    )


def parts(git: Git, file: File) -> list[bytes | Region]:
    """Returns the parts of a text file in order; raises INVALID_FIELD for another form."""
    if file.form != pb.CONFLICT_FORM_TEXT:
        raise errors.invalid_field("index", f"{readable(file.path)} has no parts: take one side of it")
    whole = [
        git.raw("cat-file", "blob", version.id) if version else b""
        for version in (file.base, file.ours, file.theirs)
    ]
    size = _MARK
    while any(letter * size in content for letter in (b"<", b"|", b"=", b">") for content in whole):
        size *= 2
    with tempfile.TemporaryDirectory(prefix="heddle-merge-") as name:
        paths = {side: Path(name, side) for side in ("base", "ours", "theirs")}
        for path, content in zip(paths.values(), whole, strict=True):
            path.write_bytes(content)
        order = ("ours", "base", "theirs")
        labels = [word for side in order for word in ("-L", side)]
        arguments = ["merge-file", "-p", "--diff3", f"--marker-size={size}", *labels]
        output = git.run(*arguments, *(str(paths[side]) for side in order))
    if output.code > _MOST_REGIONS:
        raise failure(arguments, output)
    return _with_ends(list(_split(output.stdout, size)), whole)


def _version(git: Git, found: Version | None) -> pb.FileVersion | None:
    """Returns the message about one side of a file."""
    if found is None:
        return None
    if found.mode == _SUBMODULE:
        return pb.FileVersion(mode=found.mode, target=found.id)
    size = git.size(found.id)
    target = ""
    if found.mode == _LINK and size <= MOST_TEXT:
        target = readable(decode(git.raw("cat-file", "blob", found.id)))
    return pb.FileVersion(mode=found.mode, size=size, target=target)


def _described(git: Git, found: Sides, conflict: Conflict) -> pb.EpicConflict:
    """Returns the message about a conflict, without the content of its files."""
    return pb.EpicConflict(
        source_commit=found.ours,
        target_commit=found.theirs,
        source_branch=found.epic.branch,
        target_branch=found.target,
        files=[
            pb.ConflictFile(
                index=index,
                path=readable(file.path),
                form=file.form,
                base=_version(git, file.base),
                ours=_version(git, file.ours),
                theirs=_version(git, file.theirs),
                note=readable(file.note),
                made_up_name=file.made_up,
            )
            for index, file in enumerate(conflict.files)
        ],
    )


def _part(found: bytes | Region) -> pb.ConflictPart:
    """Returns the message about a part."""
    if isinstance(found, Region):
        return pb.ConflictPart(region=pb.ConflictRegion(**found._asdict()))
    return pb.ConflictPart(common=found)


def _file(git: Git, path: str, stages: dict[str, Version], note: str, commits: tuple[str, str]) -> File:
    base, ours, theirs = (stages.get(stage) for stage in (_BASE, _OURS, _THEIRS))
    # git names the commits that it was given; a person knows the sides.
    for commit, side in zip(commits, ("ours", "theirs"), strict=True):
        note = note.replace(commit, side)
    made_up = any(f"~{commit}" in path for commit in commits)
    return File(path, base, ours, theirs, _form(git, base, ours, theirs), note, made_up)


def _form(
    git: Git, base: Version | None, ours: Version | None, theirs: Version | None
) -> "pb.ConflictForm.ValueType":
    every = [each for each in (base, ours, theirs) if each]
    if not (ours or theirs):
        return pb.CONFLICT_FORM_GONE
    modes = {each.mode for each in every}
    if _SUBMODULE in modes:
        return pb.CONFLICT_FORM_SUBMODULE
    if _LINK in modes:
        return pb.CONFLICT_FORM_LINK
    if not (ours and theirs):
        return pb.CONFLICT_FORM_ONE_SIDE
    return _form_of_content(git, every)


def _form_of_content(git: Git, every: Sequence[Version]) -> "pb.ConflictForm.ValueType":
    if any(git.size(each.id) > MOST_TEXT for each in every):
        return pb.CONFLICT_FORM_LARGE
    has_binary = any(is_binary(git.raw("cat-file", "blob", each.id)) for each in every)
    return pb.CONFLICT_FORM_BINARY if has_binary else pb.CONFLICT_FORM_TEXT


def _notes(fields: Iterator[str]) -> dict[str, str]:
    """Returns git's messages about conflicts, by path."""
    notes: dict[str, list[str]] = {}
    for count in fields:
        paths = [next(fields) for _ in range(int(count))]
        kind, text = next(fields), next(fields).strip().split("\n\n")[0]
        if kind.startswith("CONFLICT"):
            for path in paths:
                if text not in notes.setdefault(path, []):
                    notes[path].append(text)
    return {path: "\n".join(texts) for path, texts in notes.items()}


def _split(merged: bytes, size: int) -> Iterator[bytes | Region]:
    """Yields the parts of what `git merge-file --diff3` prints with markers of this size."""
    marks = [letter * size + label for letter, label in zip((b"<", b"|", b"=", b">"), _LABELS, strict=True)]
    # What was read since the last region, and of each side of a region.
    pieces: list[list[bytes]] = [[], [], [], []]
    place = 0
    # Lines as git sees them: only a line feed ends one.
    for line in io.BytesIO(merged):
        # A marker ends like the lines of the file.
        if line.rstrip(b"\r\n") != marks[place]:
            pieces[place].append(line)
            continue
        place = (place + 1) % len(marks)
        if place == 1 and pieces[0]:
            yield b"".join(pieces[0])
        elif place == 0:
            ours, base, theirs = map(b"".join, pieces[1:])
            yield Region(base, ours, theirs)
            pieces = [[], [], [], []]
    if pieces[0]:
        yield b"".join(pieces[0])


def _with_ends(found: list[bytes | Region], whole: Sequence[bytes]) -> list[bytes | Region]:
    """Removes from a last region the line ends that git has added: the files, base, ours and theirs, have none."""
    if not found or not isinstance(last := found[-1], Region):
        return found
    sides = (_with_end(side, content) for side, content in zip(last, whole, strict=True))
    return [*found[:-1], Region(*sides)]


def _with_end(side: bytes, whole: bytes) -> bytes:
    ends = (side, side.removesuffix(b"\n"), side.removesuffix(b"\r\n"))
    return next((end for end in ends if whole.endswith(end)), side)

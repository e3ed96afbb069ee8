"""A person's resolution of a conflict: what is shown of each kind of file, and what an attempt starts with."""

import os
from pathlib import Path

import pytest

from heddle import pb
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

TARGET = "heddle/r1/merged"
EPIC = "runs/r1/epics/api"
OURS, THEIRS = pb.RESOLUTION_SIDE_OURS, pb.RESOLUTION_SIDE_THEIRS
BOTH, REVERSED = pb.RESOLUTION_SIDE_OURS_THEN_THEIRS, pb.RESOLUTION_SIDE_THEIRS_THEN_OURS
MIDDLE = "".join(f"line {number}\n" for number in range(20)).encode()


def lay_base(project: Path) -> None:
    """Commits files that both sides change."""
    (project / "two").write_bytes(b"first\n" + MIDDLE + b"last\n")
    (project / "dos").write_bytes(b"first\r\nkept\r\n")
    (project / "latin").write_bytes(b"caf\xe9\n")
    (project / "endless").write_bytes(b"title\n=====\nend")
    (project / "gone").write_bytes(b"gone\n" + MIDDLE)
    (project / "moved").write_bytes(b"moved\n" + MIDDLE)
    (project / "picture").write_bytes(b"\0base")
    (project / "huge").write_bytes(b"x" * (1 << 20) + b"base\n")
    (project / "link").symlink_to("base")
    (project / "folder").mkdir()
    (project / "folder" / "file").write_text("base\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Base")


def change(path: Path, side: str) -> None:
    """Makes the changes of one side, `ours` or `theirs`."""
    mark = side.encode()
    (path / "two").write_bytes(mark + b" first\n" + MIDDLE + mark + b" last\n")
    (path / "dos").write_bytes(mark + b"\r\nkept\r\n")
    (path / "latin").write_bytes(b"caf\xe9 " + mark + b"\n")
    (path / "endless").write_bytes(b"title\n=====\nend " + mark)
    (path / "picture").write_bytes(b"\0" + mark)
    (path / "huge").write_bytes(b"x" * (1 << 20) + mark + b"\n")
    (path / "link").unlink()
    (path / "link").symlink_to(side)
    (path / "moved").rename(path / f"moved-{side}")
    (path / "tool").write_bytes(b"#!/bin/sh\n")
    (path / "tool").chmod(0o755 if side == "ours" else 0o644)
    if side == "ours":
        (path / "gone").write_bytes(b"changed\n" + MIDDLE)
        (path / "folder" / "file").write_text("ours\n")
    else:
        (path / "gone").unlink()
        (path / "folder" / "file").unlink()
        (path / "folder").rmdir()
        (path / "folder").write_text("a file now\n")


@pytest.fixture
async def conflict(worker: Worker) -> pb.EpicConflict:
    """Accepts both sides, merges theirs into the target, and reads the conflict of ours."""
    lay_base(worker.project)
    for epic, side in (("theirs", "theirs"), ("api", "ours")):
        change(await worker.ready(attempt(epic)), side)
        await worker.commit(attempt(epic))
    await worker.merge("heddle/r1/epics/theirs", TARGET, "main")
    assert (await worker.merge("heddle/r1/epics/api", TARGET)).HasField("conflict")
    request = pb.ReadConflictRequest(project=worker.name, epic=EPIC, target_branch=TARGET)
    return (await worker.stub.ReadConflict(request)).conflict


async def parts(worker: Worker, conflict: pb.EpicConflict, path: str) -> list[pb.ConflictPart]:
    request = pb.ReadConflictRequest(
        project=worker.name,
        epic=EPIC,
        target_branch=TARGET,
        source_commit=conflict.source_commit,
        target_commit=conflict.target_commit,
        index=named(conflict, path).index,
    )
    return list((await worker.stub.ReadConflict(request)).parts)


def named(conflict: pb.EpicConflict, path: str) -> pb.ConflictFile:
    return next(file for file in conflict.files if file.path == path)


def made_up(conflict: pb.EpicConflict) -> pb.ConflictFile:
    (found,) = (file for file in conflict.files if file.made_up_name)
    return found


def request_of(
    worker: Worker, conflict: pb.EpicConflict, choices: dict[str, pb.FileResolution]
) -> pb.MakeResolutionRequest:
    """Returns a request that takes our side of each file that `choices` does not name."""
    files = []
    for file in conflict.files:
        choice = choices.get(file.path) or pb.FileResolution(side=OURS)
        choice.index = file.index
        files.append(choice)
    return pb.MakeResolutionRequest(
        project=worker.name,
        epoch=worker.epoch,
        epic=EPIC,
        target_branch=TARGET,
        source_commit=conflict.source_commit,
        target_commit=conflict.target_commit,
        files=files,
    )


def regions(*choices: "pb.ResolutionSide.ValueType | bytes") -> pb.FileResolution:
    found = [
        pb.RegionChoice(text=each) if isinstance(each, bytes) else pb.RegionChoice(side=each)
        for each in choices
    ]
    return pb.FileResolution(regions=pb.RegionChoices(choices=found))


async def test_every_kind_of_file_is_shown_as_it_is(worker: Worker, conflict: pb.EpicConflict) -> None:
    """Each file has the form that says what can be chosen; text has its regions byte by byte."""
    forms = {
        file.path: pb.ConflictForm.Name(file.form).removeprefix("CONFLICT_FORM_")
        for file in conflict.files
        if not file.made_up_name
    }
    assert forms == {
        "dos": "TEXT",
        "endless": "TEXT",
        "folder/file": "ONE_SIDE",
        "gone": "ONE_SIDE",
        "huge": "LARGE",
        "latin": "TEXT",
        "link": "LINK",
        "moved": "GONE",
        "moved-ours": "ONE_SIDE",
        "moved-theirs": "ONE_SIDE",
        "picture": "BINARY",
        "tool": "TEXT",
        "two": "TEXT",
    }
    assert "deleted in theirs" in named(conflict, "gone").note
    assert named(conflict, "link").theirs.target == "theirs"
    assert not named(conflict, "gone").HasField("theirs")
    assert (named(conflict, "tool").ours.mode, named(conflict, "tool").theirs.mode) == ("100755", "100644")
    common = pb.ConflictPart(common=MIDDLE)
    first, middle, last = await parts(worker, conflict, "two")
    assert middle == common
    assert first.region == pb.ConflictRegion(base=b"first\n", ours=b"ours first\n", theirs=b"theirs first\n")
    assert last.region.theirs == b"theirs last\n"
    (region, kept) = await parts(worker, conflict, "dos")
    assert region.region.ours == b"ours\r\n"
    assert kept.common == b"kept\r\n"
    (latin,) = await parts(worker, conflict, "latin")
    assert latin.region.theirs == b"caf\xe9 theirs\n"
    title, end = await parts(worker, conflict, "endless")
    assert title.common == b"title\n=====\n"
    assert end.region == pb.ConflictRegion(base=b"end", ours=b"end ours", theirs=b"end theirs")
    error = await refused(parts(worker, conflict, "picture"))
    assert "picture has no parts" in error.violations[0].description


async def test_an_attempt_starts_with_what_was_chosen(worker: Worker, conflict: pb.EpicConflict) -> None:
    """The worktree has the chosen files byte by byte, and its commit has both sides as parents."""
    choices = {
        "two": regions(BOTH, b"written\n"),
        "dos": regions(REVERSED),
        "latin": regions(THEIRS),
        "endless": regions(BOTH),
        "picture": pb.FileResolution(side=THEIRS),
        "huge": pb.FileResolution(side=THEIRS),
        "link": pb.FileResolution(side=THEIRS),
        "gone": pb.FileResolution(side=THEIRS),
        "moved-theirs": pb.FileResolution(side=OURS),
        "folder/file": pb.FileResolution(side=OURS),
        "tool": pb.FileResolution(whole=b"#!/bin/sh\ntrue\n", mode=OURS),
        made_up(conflict).path: pb.FileResolution(side=THEIRS, new_path="folder-file"),
    }
    made = await worker.stub.MakeResolution(request_of(worker, conflict, choices))
    name = attempt(task="resolve-1")
    ensured = await worker.stub.EnsureWorktree(
        pb.EnsureWorktreeRequest(
            project=worker.name,
            attempt=str(name),
            epoch=worker.epoch,
            base_commit="main",
            resolution_commit=made.commit,
        )
    )
    path = Path(ensured.worktree.path)
    assert (path / "two").read_bytes() == b"ours first\ntheirs first\n" + MIDDLE + b"written\n"
    assert (path / "dos").read_bytes() == b"theirs\r\nours\r\nkept\r\n"
    assert (path / "latin").read_bytes() == b"caf\xe9 theirs\n"
    assert (path / "endless").read_bytes() == b"title\n=====\nend ours\nend theirs"
    assert (path / "picture").read_bytes() == b"\0theirs"
    assert (path / "huge").read_bytes().endswith(b"theirs\n")
    assert (path / "link").readlink() == Path("theirs")
    assert not (path / "gone").exists()
    assert (path / "moved-ours").read_bytes() == b"moved\n" + MIDDLE
    assert not (path / "moved-theirs").exists()
    assert (path / "tool").read_bytes() == b"#!/bin/sh\ntrue\n"
    assert os.access(path / "tool", os.X_OK)
    assert (path / "folder" / "file").read_text() == "ours\n"
    assert (path / "folder-file").read_text() == "a file now\n"
    committed = await worker.commit(name)
    parents = git(worker.project, "show", "-s", "--format=%P", committed.commit).split()
    assert parents == [conflict.source_commit, conflict.target_commit]
    merged = await worker.merge("heddle/r1/epics/api", TARGET)
    assert merged.HasField("merged")


# NUL ends an entry in the list that git reads. git replaces a file with a folder, and leaves out names like git~1.
UNUSABLE_PATHS = [
    ("../out", "name that git made up"),
    (".git/x", "name that git made up"),
    ("free\0100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\tthird", "name that git made up"),
    (f"folder/{'x' * 256}", "name that git made up"),
    ("two", "that exists"),
    ("README.md/below", "README.md is a file"),
    ("tool/below", "not a path that git accepts"),
    ("link/below", "not a path that git accepts"),
    ("git~1/x", "not a path that git accepts"),
]


async def test_what_does_not_fit_is_refused(worker: Worker, conflict: pb.EpicConflict) -> None:
    """A choice that is missing, left with markers, or not possible is refused by the file's name."""
    request = request_of(worker, conflict, {made_up(conflict).path: pb.FileResolution(side=OURS)})
    del request.files[0]
    error = await refused(worker.stub.MakeResolution(request))
    assert (error.reason, error.metadata["files"]) == (pb.ERROR_REASON_CONFLICT_UNDECIDED, "dos")
    cases = [
        ("two", regions(OURS), "two needs one choice for each region"),
        ("picture", pb.FileResolution(whole=b"text"), "cannot be edited as text"),
        ("two", pb.FileResolution(side=BOTH), "two takes one side"),
        ("tool", pb.FileResolution(whole=b"text"), "tool needs a mode"),
        *(
            (made_up(conflict).path, pb.FileResolution(side=THEIRS, new_path=new_path), message)
            for new_path, message in UNUSABLE_PATHS
        ),
    ]
    for path, choice, message in cases:
        error = await refused(worker.stub.MakeResolution(request_of(worker, conflict, {path: choice})))
        assert message in error.violations[0].description, (path, error)
    marked = {"two": pb.FileResolution(whole=b"<<<<<<< ours\n=======\n>>>>>>> theirs\n")}
    error = await refused(worker.stub.MakeResolution(request_of(worker, conflict, marked)))
    assert (error.reason, error.metadata["files"]) == (pb.ERROR_REASON_MARKERS_LEFT, "two")
    # The target moves while the person decides.
    later = git(worker.project, "commit-tree", f"{TARGET}^{{tree}}", "-p", TARGET, "-m", "Later")
    git(worker.project, "update-ref", f"refs/heads/{TARGET}", later)
    error = await refused(worker.stub.MakeResolution(request_of(worker, conflict, {})))
    assert (error.reason, error.metadata["branch"]) == (pb.ERROR_REASON_CONFLICT_MOVED, TARGET)
    assert git(worker.project, "for-each-ref", "refs/heddle/resolutions") == ""

import hashlib
import os
from pathlib import Path

import pytest

from agent_svc.log import spool as spool_module
from agent_svc.log.spool import Spool, write_durably
from heddle import pb
from heddle.names import AttemptName
from tests.support.disk import Disk

NAME = AttemptName("r", "e", "t", 2)
SPEC = pb.StartSessionRequest(attempt=str(NAME), agent="scripted")


def test_session_comes_back(tmp_path: Path) -> None:
    """A stored session is found again by name and by task."""
    folder = Spool(tmp_path).folder(NAME)
    folder.create(SPEC)
    assert folder.spec() == SPEC
    assert folder.result() is None
    folder.finish(pb.Session(attempt=str(NAME)))
    assert folder.result() == pb.Session(attempt=str(NAME))
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "artifacts",
        "events.log",
        "result.pb",
        "spec.pb",
    ]


def test_half_created_session_can_be_created(tmp_path: Path) -> None:
    """A crash during the creation of a session does not block the next try."""
    folder = Spool(tmp_path).folder(NAME)
    (folder.path / "artifacts").mkdir(parents=True)
    folder.create(SPEC)
    assert folder.spec() == SPEC


def test_names_and_newest(tmp_path: Path) -> None:
    """All sessions are listed, with attempts in numeric order."""
    spool = Spool(tmp_path)
    names = [NAME.parent.attempt(number) for number in (2, 10, 1)]
    for name in names:
        spool.folder(name).create(SPEC)
    assert spool.names() == sorted(names)
    assert spool.newest(NAME.parent) == 10
    assert spool.newest(NAME.parent._replace(task="other")) == 0


def test_full_disk_leaves_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk has no room for a session, no files of it remain."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    spool = Spool(tmp_path)
    monkeypatch.setattr(spool_module, "write_durably", refuse)
    with pytest.raises(OSError, match="No space"):
        spool.folder(NAME).create(SPEC)
    assert spool.names() == []
    assert not spool.folder(NAME).path.exists()


def test_artifacts_by_content(tmp_path: Path) -> None:
    """An artifact is named by its content and stored once; no name leads outside its folder."""
    folder = Spool(tmp_path).folder(NAME)
    folder.create(SPEC)
    name = folder.store(b"picture")
    assert folder.store(b"picture") == name == f"sha256:{hashlib.sha256(b'picture').hexdigest()}"
    path = folder.artifact(name)
    assert path is not None
    assert path.read_bytes() == b"picture"
    for other in ("", "sha256:", "sha256:" + "0" * 64, "sha256:../spec.pb", name.removeprefix("sha256:")):
        assert folder.artifact(other) is None


def test_lock_has_one_holder(tmp_path: Path) -> None:
    """A session's lock has one holder and is released when its file is closed."""
    folder = Spool(tmp_path).folder(NAME)
    folder.create(SPEC)
    held = folder.take_lock()
    assert held is not None
    assert folder.take_lock() is None
    os.close(held)
    again = folder.take_lock()
    assert again is not None
    os.close(again)


def test_private_folders_have_short_names(tmp_path: Path) -> None:
    """Each session has its own TMPDIR, which is short enough for socket paths."""
    spool = Spool(tmp_path)
    long = AttemptName("r" * 60, "e" * 60, "t" * 60, 1)
    scratch = spool.folder(long).scratch
    assert len(str(scratch)) < len(str(tmp_path)) + 20
    assert scratch != spool.folder(NAME).scratch


def test_a_new_session_is_on_disk_before_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new folder is synced from the spool's own down; the spec that makes it a session is last."""
    spool = Spool(tmp_path)
    disk = Disk(monkeypatch, tmp_path)
    spool.folder(AttemptName("r", "e", "t", 1)).create(pb.StartSessionRequest())
    folder = "spool/r/e/t/1"
    assert disk.done[:-3] == [
        f"sync {each}" for each in ("spool/r/e/t", "spool/r/e", "spool/r", "spool", f"{folder}/reserve")
    ]
    assert disk.done[-3:] == [f"sync {folder}/.spec.pb.new", f"rename {folder}/spec.pb", f"sync {folder}"]


@pytest.mark.parametrize("what", ["result", "agent", "said", "artifact"])
def test_files_of_a_session_are_on_disk_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each file is synced before its rename, and its folder after that."""
    folder = Spool(tmp_path).folder(NAME)
    folder.create(SPEC)
    with folder.log.open("wb") as log:
        log.truncate(spool_module.RELEASED_BYTES)
    disk = Disk(monkeypatch, folder.path)
    path = f"{what}.pb"
    match what:
        case "result":
            folder.finish(pb.Session(attempt=str(NAME)))
        case "agent":
            folder.remember_agent_session("mine")
            path = "agent"
        case "said":
            folder.release(["Use tabs"])
        case _:
            path = f"artifacts/{folder.store(b'picture').removeprefix('sha256:')}"
    parent, name = Path(path).parent, Path(path).name
    assert disk.done == [f"sync {parent / f'.{name}.new'}", f"rename {path}", f"sync {parent}"]


def test_a_log_is_removed_after_its_messages_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the operator's messages cannot be written, the log stays."""
    folder = Spool(tmp_path).folder(NAME)
    folder.create(SPEC)
    with folder.log.open("wb") as log:
        log.truncate(spool_module.RELEASED_BYTES)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        folder.release(["Use tabs"])
    assert folder.log.exists()
    assert folder.released() is None
    assert not [path for path in folder.path.iterdir() if path.name.endswith(".new")]


def test_write_durably_replaces(tmp_path: Path) -> None:
    """A file is replaced as a whole, and no temporary file remains."""
    path = tmp_path / "file"
    write_durably(path, b"one", "spec")
    write_durably(path, b"two", "spec")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]

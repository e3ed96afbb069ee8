import hashlib
import os
from pathlib import Path

import pytest

from agent_svc.log import spool as spool_module
from agent_svc.log.spool import Spool, write_durably
from heddle import pb
from heddle.names import AttemptName

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
    synced: list[str] = []
    sync = os.fsync

    def noted(file: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{file}").readlink().relative_to(tmp_path)))
        sync(file)

    spool = Spool(tmp_path)
    monkeypatch.setattr(os, "fsync", noted)
    spool.folder(AttemptName("r", "e", "t", 1)).create(pb.StartSessionRequest())
    assert {"spool", "spool/r", "spool/r/e", "spool/r/e/t", "spool/r/e/t/1/reserve"} <= set(synced)
    assert synced[-2:] == ["spool/r/e/t/1/.spec.pb.new", "spool/r/e/t/1"]


def test_write_durably_replaces(tmp_path: Path) -> None:
    """A file is replaced as a whole, and no temporary file remains."""
    path = tmp_path / "file"
    write_durably(path, b"one", "spec")
    write_durably(path, b"two", "spec")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]

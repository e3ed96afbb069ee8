"""Files that are copied between an agent's private folder and its user's."""

import os
from pathlib import Path

import pytest

from agent_svc.sandbox import carried_files
from agent_svc.sandbox.carried_files import Copier, TooMuchError


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_only_what_a_glob_names_is_copied(source: Path, tmp_path: Path) -> None:
    """A glob names files, or with a slash everything below a folder; copies are the user's alone, never executable."""
    write(source, a__x="1", a__y="2", b__c__d="3", b__e="4", f="5")
    (source / "a" / "x").chmod(0o777)
    Copier(["a/x", "b/", "g*"]).copy(source, tmp_path / "target")
    assert files(tmp_path / "target") == {"a/x": "1", "b/c/d": "3", "b/e": "4"}
    assert (tmp_path / "target" / "a" / "x").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "target" / "g").exists()


def test_links_and_special_files_are_left_out(source: Path, tmp_path: Path) -> None:
    """A link, a FIFO or a linked folder in the agent's folder brings nothing back, and nothing blocks."""
    secret = tmp_path / "secret"
    write(secret, key="canary")
    (source / "link").symlink_to(secret / "key")
    (source / "folder").symlink_to(secret)
    os.mkfifo(source / "fifo")
    Copier(["*", "folder/"]).copy(source, tmp_path / "target")
    assert files(tmp_path / "target") == {}


def test_nothing_is_written_through_a_link(source: Path, tmp_path: Path) -> None:
    """A link in the other folder is replaced or skipped; what it points to does not change."""
    outside, target = tmp_path / "outside", tmp_path / "target"
    write(outside, key="canary", b="old")
    target.mkdir()
    (target / "a").symlink_to(outside / "key")
    (target / "b").symlink_to(outside)
    write(source, a="new", c__d="new")
    (source / "b").mkdir()
    (source / "b" / "b").write_text("new")
    Copier(["a", "b/", "c/"]).copy(source, target)
    assert files(outside) == {"key": "canary", "b": "old"}
    assert (target / "c" / "d").read_text() == "new"
    assert not (target / "a").is_symlink()


def test_existing_files_can_stay(source: Path, tmp_path: Path) -> None:
    """Without `replaces`, a file that exists is kept, even if it is a broken link."""
    target = tmp_path / "target"
    write(target, a="mine")
    (target / "b").symlink_to("nowhere")
    write(source, a="other", b="other", c="other")
    Copier(["*"], replaces=False).copy(source, target)
    assert (target / "a").read_text() == "mine"
    assert (target / "b").is_symlink()
    assert (target / "c").read_text() == "other"


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 3), ("MAX_FILES", 1)])
def test_there_is_a_limit(
    limit: str, value: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many bytes or files end the copy with an error, without a partial file."""
    monkeypatch.setattr(carried_files, limit, value)
    write(source, a="12", b="34")
    with pytest.raises(TooMuchError):
        Copier(["*"]).copy(source, tmp_path / "target")
    assert files(tmp_path / "target") == {"a": "12"}


def test_a_missing_folder_has_nothing(tmp_path: Path) -> None:
    """A folder that does not exist is like an empty one."""
    Copier(["*"]).copy(tmp_path / "absent", tmp_path / "target")
    assert files(tmp_path / "target") == {}

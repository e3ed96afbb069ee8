"""The texts from which a plan is drafted."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from heddle.drafts.request import MAX_SOURCE_BYTES
from heddle.drafts.sources import SourceError, read_sources


def named(names: list[str], repository: Path | None = None) -> dict[str, str]:
    return {source.name: source.text for source in read_sources(names, repository)}


def test_files_folders_and_standard_input_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, a folder's texts by name; those of the repository are named relative to it."""
    repository = tmp_path / "repository"
    specs = repository / ".heddle/specs"
    (specs / "deep").mkdir(parents=True)
    (specs / ".hidden").mkdir()
    for name in ("b.md", "a.TXT", "deep/c.markdown", "code.py", ".hidden/d.md"):
        (specs / name).write_text(name)
    (other := tmp_path / "prd").write_text("\ufeffprd", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"piped")))
    found = named([str(other), "-", str(specs)], repository)
    assert list(found.items()) == [
        (str(other), "prd"),
        ("standard input", "piped"),
        (".heddle/specs/a.TXT", "a.TXT"),
        (".heddle/specs/b.md", "b.md"),
        (".heddle/specs/deep/c.markdown", "deep/c.markdown"),
    ]
    assert list(named([str(specs / "b.md")])) == [str(specs / "b.md")]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The error says which source, and why."""
    (tmp_path / "full.md").write_text("x" * MAX_SOURCE_BYTES)
    (tmp_path / "big.md").write_text("x" * (MAX_SOURCE_BYTES + 1))
    (tmp_path / "latin.md").write_bytes(b"\xe4")
    (tmp_path / "nul.md").write_bytes(b"a\0")
    (tmp_path / "empty").mkdir()
    assert named([str(tmp_path / "full.md")])
    for name, says in (
        ("big.md", "larger than 128,000 bytes"),
        ("latin.md", "is not UTF-8 text"),
        ("nul.md", "has a NUL character"),
        ("empty", "has no Markdown or text file"),
        ("missing.md", "cannot be read: No such file"),
    ):
        with pytest.raises(SourceError, match=says) as caught:
            named([str(tmp_path / name)])
        assert name in str(caught.value)
    with pytest.raises(SourceError, match="only once"):
        named(["-", "-"])

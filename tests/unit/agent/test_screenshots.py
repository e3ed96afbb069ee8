import os
from pathlib import Path

import pytest

from agent_svc.agents.scripted.picture import draw, file_stem
from agent_svc.reports.image_header import media_type
from agent_svc.reports.screenshots import FOLDER, MAX_BYTES, Screenshots
from heddle import pb
from heddle.files import beneath

PNG = draw("A caption")


class Shelf:
    """Stores artifacts under a generated name."""

    def __init__(self, worktree: Path) -> None:
        self.kept: list[bytes] = []
        self.folder = worktree / FOLDER
        self.folder.mkdir(parents=True)
        self.worktree = worktree

    def watch(self) -> Screenshots:
        return Screenshots(self.worktree, self.store)

    def store(self, data: bytes) -> str:
        self.kept.append(data)
        return f"sha256:{len(self.kept)}"


@pytest.fixture(name="shelf")
def _shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_new_picture_is_taken_once(shelf: Shelf) -> None:
    """A new picture is reported once, with its known properties."""
    screenshots = shelf.watch()
    (shelf.folder / "login-page.png").write_bytes(PNG)
    (event,) = screenshots.collect()
    assert event.screenshot == pb.Screenshot(
        artifact="sha256:1", media_type="image/png", caption="login page", size_bytes=len(PNG)
    )
    assert screenshots.collect(final=True) == []


def test_text_beside_it_is_the_caption(shelf: Shelf) -> None:
    """A text file with the same stem contains the caption."""
    screenshots = shelf.watch()
    (shelf.folder / "1.txt").write_text("The login page: done\n")
    (shelf.folder / "1.png").write_bytes(PNG)
    (event,) = screenshots.collect()
    assert event.screenshot.caption == "The login page: done"


def test_a_caption_is_not_read_through_a_link(shelf: Shelf, tmp_path: Path) -> None:
    """If the caption file is a link, the caption is the picture's name, and the link's target stays private."""
    secret = tmp_path.parent / f"{tmp_path.name}-secret.txt"
    secret.write_text("TOPSECRET")
    screenshots = shelf.watch()
    (shelf.folder / "login-page.txt").symlink_to(secret)
    (shelf.folder / "login-page.png").write_bytes(PNG)
    (event,) = screenshots.collect()
    assert event.screenshot.caption == "login page"


def test_earlier_pictures_are_not_taken(shelf: Shelf) -> None:
    """Pictures of an earlier attempt are ignored unless they are taken again."""
    path = shelf.folder / "1.png"
    path.write_bytes(PNG)
    screenshots = shelf.watch()
    assert screenshots.collect(final=True) == []
    path.write_bytes(draw("Another"))
    assert len(screenshots.collect()) == 1


def test_half_a_picture_waits(shelf: Shelf) -> None:
    """A picture that is still being written is reported when it is complete."""
    screenshots = shelf.watch()
    path = shelf.folder / "1.png"
    path.write_bytes(PNG[:100])
    assert screenshots.collect() == []
    path.write_bytes(PNG)
    assert screenshots.collect()[0].screenshot.size_bytes == len(PNG)


def test_what_is_no_picture_is_said(shelf: Shelf) -> None:
    """At the end, a file that is not a picture is named and not stored."""
    screenshots = shelf.watch()
    (shelf.folder / "notes.png").write_text("secret")
    (event,) = screenshots.collect(final=True)
    assert "notes.png" in event.output.text
    assert shelf.kept == []


def test_too_large_is_said(shelf: Shelf) -> None:
    """A picture larger than 16 MiB is left out, and the log says so."""
    screenshots = shelf.watch()
    with (shelf.folder / "big.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (event,) = screenshots.collect()
    assert event.output.stream == pb.OUTPUT_STREAM_SYSTEM
    assert "big.png" in event.output.text


def test_links_are_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    """A link cannot publish a file from outside the worktree."""
    outside = tmp_path / "outside.bin"
    outside.write_bytes(PNG)
    screenshots = shelf.watch()
    (shelf.folder / "1.png").symlink_to(outside)
    os.mkfifo(shelf.folder / "2.png")
    assert screenshots.collect(final=True) == []


def test_linked_folder_is_not_followed(tmp_path: Path) -> None:
    """A link in place of the folder cannot publish files either."""
    outside = Shelf(tmp_path / "outside")
    (outside.folder / "1.png").write_bytes(PNG)
    worktree = tmp_path / "worktree"
    (worktree / ".heddle").mkdir(parents=True)
    screenshots = Screenshots(worktree, outside.store)
    (worktree / FOLDER).symlink_to(outside.folder)
    assert screenshots.collect(final=True) == []


def test_what_browser_tools_leave_is_taken(shelf: Shelf) -> None:
    """A picture in .playwright-mcp is a screenshot too, reported once even if the tool also returned it."""
    shelf.store = lambda data: f"sha256:{hash(data)}"  # type: ignore[method-assign]  # by content, as the spool does
    screenshots = shelf.watch()
    folder = shelf.worktree / ".playwright-mcp"
    folder.mkdir()
    (folder / "page-1.png").write_bytes(PNG)
    (folder / "trace.zip").write_bytes(b"PK")
    (event,) = screenshots.collect()
    assert event.screenshot.caption == "page 1"
    (shelf.folder / "0f3a.png").write_bytes(PNG)
    assert screenshots.collect(final=True) == []
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_small_file_of_very_many_pixels_is_left_out(shelf: Shelf) -> None:
    """A file whose header names too many pixels is left out, because decoding it would need gigabytes."""
    screenshots = shelf.watch()
    bomb = PNG[:16] + (60_000).to_bytes(4) + (60_000).to_bytes(4) + PNG[24:]
    (shelf.folder / "bomb.png").write_bytes(bomb)
    (event,) = screenshots.collect()
    assert "bomb.png has 60000 by 60000 pixels" in event.output.text
    assert shelf.kept == []
    assert screenshots.collect(final=True) == []


def test_drawn_pictures_show_their_caption() -> None:
    """Different captions give different pictures; the same caption gives the same picture."""
    assert draw("One") != draw("Two")
    assert draw("One") == draw("One")
    assert media_type(draw("")) == media_type(draw("ü" * 500)) == "image/png"


def test_file_stems_are_plain() -> None:
    """A caption becomes a file name that is valid on every system."""
    assert file_stem("Login page: it works!") == "login-page-it-works"
    assert file_stem("???") == "screenshot"
    assert len(file_stem("long " * 50)) <= 40


@pytest.mark.parametrize("target", ["existing", "missing"])
def test_a_link_that_appears_after_the_check_is_not_written_through(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """A link that an agent puts in place of .gitignore, after the folder was read, changes no file outside."""
    outside = tmp_path / "outside.txt"
    if target == "existing":
        outside.write_text("precious")
    read = beneath.entries

    def plant_after_reading(descriptor: int) -> list[os.DirEntry[str]]:
        found = read(descriptor)
        (shelf.folder / ".gitignore").symlink_to(outside)
        return found

    screenshots = shelf.watch()
    (shelf.folder / "1.png").write_bytes(PNG)
    monkeypatch.setattr(beneath, "entries", plant_after_reading)
    assert len(screenshots.collect()) == 1
    assert (outside.read_text() if outside.exists() else None) == (
        "precious" if target == "existing" else None
    )


def test_a_folder_that_becomes_a_link_after_it_was_read_publishes_nothing(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is not read through a link that replaces its folder after the folder was read."""
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "1.png").write_bytes(draw("private"))
    read = beneath.entries

    def swap_after_reading(descriptor: int) -> list[os.DirEntry[str]]:
        found = read(descriptor)
        if not shelf.folder.is_symlink():
            shelf.folder.rename(tmp_path / "moved")
            shelf.folder.symlink_to(outside)
        return found

    screenshots = shelf.watch()
    (shelf.folder / "1.png").write_bytes(PNG)
    monkeypatch.setattr(beneath, "entries", swap_after_reading)
    assert screenshots.collect() == []
    assert shelf.kept == []
    assert sorted(path.name for path in outside.iterdir()) == ["1.png"]

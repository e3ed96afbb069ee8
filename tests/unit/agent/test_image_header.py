"""Image headers, and how pictures in the results of tools are stored."""

import base64
from pathlib import Path

import pytest

from agent_svc.agents.base.images import Picture, keep
from agent_svc.agents.scripted.picture import draw
from agent_svc.reports.image_header import dimensions, media_type
from agent_svc.reports.screenshots import FOLDER, MAX_BYTES

PNG = draw("A caption")
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc2\x00\x0b\x08"
    + (30).to_bytes(2)
    + (40).to_bytes(2)
    + b"\x01\x01\x11\x00\xff\xda\xff\xd9"
)


def webp(body: bytes) -> bytes:
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


VP8X = webp(b"VP8X\x0a\0\0\0" + bytes(4) + (39).to_bytes(3, "little") + (29).to_bytes(3, "little"))
VP8L = webp(b"VP8L\x05\0\0\0\x2f" + (39 | 29 << 14).to_bytes(4, "little"))
VP8 = webp(b"VP8 \x0a\0\0\0" + bytes(6) + (40).to_bytes(2, "little") + (30 | 1 << 14).to_bytes(2, "little"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0...\xff\xd9", "image/jpeg"),
        (b"RIFF\x08\0\0\0WEBPabcd", "image/webp"),
        (b"RIFF\xff\0\0\0WEBPabcd", ""),
        (b"GIF89a", ""),
        (b"", ""),
    ],
)
def test_kinds_of_pictures(data: bytes, kind: str) -> None:
    """The kind of a picture is read from its bytes, not from its name."""
    assert media_type(data) == kind


@pytest.mark.parametrize("data", [JPEG, VP8X, VP8L, VP8])
def test_the_header_tells_the_size(data: bytes) -> None:
    """Width and height are read without decoding the picture."""
    assert dimensions(data) == (40, 30)


def test_a_drawn_picture_tells_its_size() -> None:
    """The size of a PNG that Heddle draws is found."""
    width, height = dimensions(PNG)
    assert width > height > 100


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\xff\xff\xff\xd9",
        b"\xff\xd8\xff\xc0\xff\xd9",
        webp(b"VP9 abcd"),
        PNG[:12] + b"XXXX" + PNG[16:],
    ],
)
def test_a_broken_header_tells_nothing(data: bytes) -> None:
    """A picture with a malformed header has no size, and no error is raised."""
    width, height = dimensions(data)
    assert width * height == 0


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_picture_is_kept_once(tmp_path: Path) -> None:
    """A picture in a tool's result is stored once with the screenshots, with its caption."""
    for _ in range(2):
        assert keep(tmp_path, Picture("image/png", encoded(PNG), "Read logo.png")) == ""
    text, picture = sorted((tmp_path / FOLDER).iterdir(), key=lambda path: path.suffix, reverse=True)
    assert text.read_text() == "Read logo.png"
    assert picture.read_bytes() == PNG
    assert picture.stem == text.stem


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (Picture("image/svg+xml", encoded(PNG), ""), "image/svg"),
        (Picture("image/png", "no base64!", ""), "not valid base64"),
        (Picture("image/png", "é", ""), "not valid base64"),
        (Picture("image/png", "A" * (MAX_BYTES // 3 * 4 + 8), ""), "more than 16 MiB"),
    ],
)
def test_what_cannot_be_kept_is_said(tmp_path: Path, picture: Picture, why: str) -> None:
    """Pictures of other types, malformed and huge ones are left out with a reason."""
    assert why in keep(tmp_path, picture)
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize(
    ("beyond", "why"), [(0, ""), (1, "it has more than 16 MiB"), (2, "it has more than 16 MiB")]
)
def test_size_of_a_picture(tmp_path: Path, beyond: int, why: str) -> None:
    """A picture of 16 MiB is kept; one byte more, and it is left out."""
    assert keep(tmp_path, Picture("image/png", encoded(b"x" * (MAX_BYTES + beyond)), "")) == why


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    """A file in the place of the screenshots folder is reported."""
    (tmp_path / ".heddle").write_text("mine")
    assert "cannot be written" in keep(tmp_path, Picture("image/png", encoded(PNG), ""))


@pytest.mark.parametrize("linked", [".heddle", FOLDER])
def test_a_picture_is_not_stored_through_a_link(tmp_path: Path, linked: str) -> None:
    """A link in place of the screenshot folder, or of the folder above it, keeps pictures from being stored."""
    worktree, outside = tmp_path / "worktree", tmp_path / "outside"
    (worktree / linked).parent.mkdir(parents=True)
    outside.mkdir()
    (worktree / linked).symlink_to(outside)
    picture = Picture("image/png", base64.b64encode(PNG).decode(), "caption")
    assert "cannot be written" in keep(worktree, picture)
    assert list(outside.iterdir()) == []


def test_a_caption_is_not_stored_through_a_link(tmp_path: Path) -> None:
    """A link in place of a picture's caption file changes nothing at its target."""
    picture = Picture("image/png", base64.b64encode(PNG).decode(), "caption")
    (tmp_path / "first").mkdir()
    assert keep(tmp_path / "first", picture) == ""
    (name,) = (path.name for path in (tmp_path / "first" / FOLDER).glob("*.txt"))
    (tmp_path / "second" / FOLDER).mkdir(parents=True)
    (tmp_path / "second" / FOLDER / name).symlink_to(tmp_path / "outside.txt")
    assert keep(tmp_path / "second", picture) == ""
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("marker", [b"\xff\x01", b"\xff\xe0\x00\x02"])
def test_a_header_of_very_many_markers_is_not_searched_to_its_end(marker: bytes) -> None:
    """A picture with more markers than any real one has no size, so it is left out."""
    head, tail = JPEG[:2], JPEG[8:]
    assert dimensions(head + marker * 1_000 + tail) == (40, 30)
    assert dimensions(head + marker * 20_000 + tail) == (0, 0)

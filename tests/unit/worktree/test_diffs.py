"""Diffs are split into pieces that fit in a message."""

from hypothesis import given
from hypothesis import strategies as st

from worktree_svc.worktrees.diffs import PIECE_BYTES, pieces


@given(st.lists(st.binary(max_size=50)))
def test_nothing_is_lost_between_chunks(chunks: list[bytes]) -> None:
    """The pieces join to git's output whatever its chunks; bytes that are not UTF-8 are replaced."""
    whole = b"".join(chunks)
    found = list(pieces(chunks, max_bytes=1 << 20))
    assert "".join(piece.text for piece in found) == "\n".join(
        line.decode(errors="replace") for line in whole.split(b"\n")
    )
    assert not found[-1].truncated


def test_pieces_are_whole_lines_below_the_limit() -> None:
    """A piece ends with a line and is as full as the limit allows."""
    found = list(pieces([b"x" * 99 + b"\n"] * 10_000, max_bytes=10 << 20))
    assert all(piece.text.endswith("\n") and len(piece.text) <= PIECE_BYTES for piece in found)
    assert len(found) == 4


def test_a_line_that_is_too_long_is_cut_between_characters() -> None:
    """A very long line of three-byte characters is complete after splitting."""
    line = "✓" * 300_000
    found = list(pieces([line.encode()[place : place + 1000] for place in range(0, 900_000, 1000)], 1 << 20))
    assert "".join(piece.text for piece in found) == line
    assert max(len(piece.text.encode()) for piece in found) <= PIECE_BYTES


def test_bytes_that_are_no_text_do_not_outgrow_a_piece() -> None:
    """Each replaced byte becomes three bytes, which count against the limit."""
    found = list(pieces([b"\xff" * 500_000], 10 << 20))
    assert "".join(piece.text for piece in found) == "\ufffd" * 500_000
    assert max(len(piece.text.encode()) for piece in found) <= PIECE_BYTES


def test_the_text_ends_before_the_line_that_passes_the_limit() -> None:
    """Truncation is marked on the last piece and never happens inside a line."""
    found = list(pieces([b"1234\n", b"5678\n", b"9\n"], max_bytes=9))
    assert found == [("1234\n", True)]
    assert list(pieces([b"1234\n"], max_bytes=5)) == [("1234\n", False)]
    assert list(pieces([], max_bytes=5)) == [("", False)]

"""How the scripted agent waits for lines."""

import os
import time
from collections.abc import Iterator

import pytest

from agent_svc.agents.scripted.input_lines import InputLines


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[tuple[InputLines, int]]:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as end:
        yield InputLines(reader), end.fileno()
    os.close(reader)


def test_lines_come_one_by_one(pipe: tuple[InputLines, int]) -> None:
    """Lines that arrived together are returned one by one; an incomplete line waits for its end."""
    incoming, writer = pipe
    os.write(writer, b"one\ntwo\nthr")
    assert [incoming.line(), incoming.line()] == [b"one", b"two"]
    assert incoming.line(0) is None
    os.write(writer, b"ee\n")
    assert incoming.line() == b"three"


def test_wait_takes_all_of_its_time_after_the_end(pipe: tuple[InputLines, int]) -> None:
    """After the other end closes, a timed wait keeps its full length and an unlimited wait ends."""
    incoming, writer = pipe
    os.write(writer, b"last\nhalf")
    os.dup2(os.open(os.devnull, os.O_WRONLY), writer)
    assert incoming.line() == b"last"
    assert incoming.line() is None
    begun = time.monotonic()
    assert incoming.line(0.05) is None
    assert time.monotonic() - begun >= 0.05

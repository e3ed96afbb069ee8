"""Logs whose beginning has been removed."""

from collections.abc import AsyncIterator

import pytest

from heddle import pb
from heddle.errors import HeddleError, not_found
from heddle.files.retained_log import from_oldest, oldest_kept


class Log:
    """A log that keeps the events from `oldest` to 9, and fails for a read of earlier ones."""

    def __init__(self, oldest: int) -> None:
        self.oldest = oldest
        self.reads: list[int] = []
        self.begun: list[int] = []

    async def read(self, after: int) -> AsyncIterator[int]:
        self.reads.append(after)
        if after < self.oldest - 1:
            raise gone(str(self.oldest))
        for each in range(after + 1, 10):
            yield each

    async def all(self, after: int) -> list[int]:
        return [each async for each in from_oldest(self.read, after, self.begun.append)]


def gone(oldest: str) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, "gone", oldest=oldest)


async def test_a_whole_log_is_read_once() -> None:
    """A log that keeps everything has no new beginning."""
    log = Log(1)
    assert await log.all(0) == list(range(1, 10))
    assert await log.all(7) == [8, 9]
    assert (log.reads, log.begun) == ([0, 7], [])


@pytest.mark.parametrize("oldest", [2, 8])
async def test_a_read_from_the_beginning_starts_at_the_oldest_event(oldest: int) -> None:
    """Its first event is the oldest that is kept, and the caller hears of that before it."""
    log = Log(oldest)
    assert await log.all(0) == list(range(oldest, 10))
    assert (log.reads, log.begun) == ([0, oldest - 1], [oldest])


async def test_a_read_from_elsewhere_fails() -> None:
    """Whoever has events already must not miss some of them."""
    with pytest.raises(HeddleError):
        await Log(8).all(1)


async def test_other_errors_are_raised() -> None:
    """Only a removed beginning is skipped."""

    async def read(after: int) -> AsyncIterator[int]:
        if not after:
            raise not_found("runs/r")
        yield after

    with pytest.raises(HeddleError, match="runs/r"):
        _ = [each async for each in from_oldest(read, 0, lambda _: None)]


@pytest.mark.parametrize(("oldest", "kept"), [("0", None), ("1", None), ("2", 2)])
def test_the_oldest_event_is_in_the_error(oldest: str, kept: int | None) -> None:
    """Event 1 is the beginning, so nothing was removed before it."""
    assert oldest_kept(gone(oldest)) == kept
    assert oldest_kept(HeddleError(pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, "x")) is None
    assert oldest_kept(not_found("runs/r")) is None

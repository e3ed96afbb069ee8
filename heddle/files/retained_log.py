"""Reads logs whose beginning has been removed, from the oldest event that remains."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from heddle import pb
from heddle.errors import HeddleError

T = TypeVar("T")


def oldest_kept(error: HeddleError) -> int | None:
    """Returns the oldest remaining sequence if a read failed for that reason; None for other errors."""
    if error.reason != pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE:
        return None
    oldest = int(error.metadata.get("oldest", "0"))
    return oldest if oldest > 1 else None


async def from_oldest(
    read: Callable[[int], AsyncIterator[T]], after: int, on_gone: Callable[[int], None]
) -> AsyncIterator[T]:
    """Yields what `read` yields after `after`; a read from the beginning (0) skips removed events.

    In that case `on_gone` first receives the oldest remaining sequence. Other errors are raised.
    """
    try:
        async for each in read(after):
            yield each
    except HeddleError as error:
        oldest = oldest_kept(error)
        if oldest is None or after:
            raise
    else:
        return
    on_gone(oldest)
    async for each in read(oldest - 1):
        yield each

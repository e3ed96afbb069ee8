"""Reads logs whose beginning is no longer kept from where they begin now."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from heddle import pb
from heddle.errors import HeddleError

T = TypeVar("T")


def oldest_kept(error: HeddleError) -> int | None:
    """Returns the oldest sequence that is still there, where a log was refused for that; None for other errors."""
    if error.reason != pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE:
        return None
    oldest = int(error.metadata.get("oldest", "0"))
    return oldest if oldest > 1 else None


async def from_oldest(
    read: Callable[[int], AsyncIterator[T]], after: int, on_gone: Callable[[int], None]
) -> AsyncIterator[T]:
    """Yields what `read` yields behind `after`, or behind what is gone where that is the beginning (0).

    `on_gone` hears the oldest sequence first that is there. Any other refusal is raised.
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

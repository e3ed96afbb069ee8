"""Open files that every git process inherits, and whose locks it so holds while it runs; see locks.HomeLock."""

from typing import Final

_descriptors: Final[set[int]] = set()


def share(descriptor: int) -> None:
    """Makes every later git process inherit an open file."""
    _descriptors.add(descriptor)


def unshare(descriptor: int) -> None:
    """Undoes `share`."""
    _descriptors.discard(descriptor)


def shared() -> tuple[int, ...]:
    """Returns the open files that git processes inherit."""
    return tuple(_descriptors)

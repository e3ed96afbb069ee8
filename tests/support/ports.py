"""Loopback ports that nothing else uses: no other test on this machine, and no connection of any program.

A port that the system chose and that is free again could be given to someone else before a service listens on it.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

# Ports at a time, which one lock file reserves; `heddle up --ports BASE` uses some of ten.
_BLOCK: Final = 10

# Ports of outgoing connections begin at 32768, unless the machine's administrator decided otherwise.
_RANGE: Final = range(10_000, 32_000, _BLOCK)

_LOCKS: Final = Path(tempfile.gettempdir()) / f"heddle-test-ports-{os.getuid()}"

# The open lock files. The reservations end with this process.
_reserved: Final[dict[int, int]] = {}
# What is left of the last block.
_left: Final[list[int]] = []


def free_ports(count: int) -> list[int]:
    """Returns ports that only this process and those that it starts may use."""
    while len(_left) < count:
        base = free_base()
        _left.extend(range(base, base + _BLOCK))
    return [_left.pop() for _ in range(count)]


def free_base() -> int:
    """Returns the first of ten ports that only this process and those that it starts may use."""
    _LOCKS.mkdir(exist_ok=True)
    for base in _RANGE:
        if base in _reserved:
            continue
        lock = os.open(_LOCKS / str(base), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        # If not, it stays reserved: a program that knows nothing of the locks uses the block.
        _reserved[base] = lock
        if all(map(_is_free, range(base, base + _BLOCK))):
            return base
    raise AssertionError(f"all ports from {_RANGE.start} to {_RANGE.stop} are in use")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

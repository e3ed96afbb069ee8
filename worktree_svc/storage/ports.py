"""Finds free ports on this machine."""

import errno
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

# Where Linux publishes the range of ports for outgoing connections.
EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_ADDRESSES: Final = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 (bound only for a moment, to test the port)

# The machine has no IPv6.
_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


class PortRange(NamedTuple):
    """Ports from `first` to `last`."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def is_free(port: int) -> bool:
    """Returns whether a server could now listen on `port` at all addresses of this machine."""
    for family, host in _ADDRESSES:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family is socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                return False
    return True


def find_block(count: int, within: PortRange, taken: Collection[int], begin: int = 0) -> range | None:
    """Returns the first `count` consecutive free ports from `begin` on, wrapping around; None if there are none.

    Uses ports that the kernel may assign to an outgoing connection only if there
    are no others.
    """
    for part in _parts(within, begin):
        row = 0
        for port in range(part.first, part.last + 1):
            row = row + 1 if port not in taken and is_free(port) else 0
            if row == count:
                return range(port - count + 1, port + 1)
    return None


def _parts(within: PortRange, begin: int) -> Iterator[PortRange]:
    """Yields the parts of a range in search order; the last one is the whole range."""
    ephemeral = _ephemeral()
    below = PortRange(within.first, min(within.last, ephemeral.first - 1))
    above = PortRange(max(within.first, ephemeral.last + 1), within.last)
    for part in (below, above):
        if part.first <= begin <= part.last:
            yield PortRange(begin, part.last)
    yield from (below, above, within)


def _ephemeral() -> PortRange:
    with suppress(OSError, ValueError):
        first, last = EPHEMERAL.read_text().split()
        return PortRange(int(first), int(last))
    # The range that IANA reserves for outgoing connections.
    return PortRange(49152, 65535)

"""A TCP proxy whose connections a test can cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from heddle.sockets import is_socket


class Proxy:
    """Forwards bytes between its own loopback port and `target`, host:port or unix:PATH, unless it is cut."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._whole = True
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str) -> AsyncIterator[Self]:
        """Listens until the end of the block."""
        proxy = cls(target)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.address = f"127.0.0.1:{proxy._server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            proxy._server.close()
            proxy.cut()
            await asyncio.gather(*proxy._links, return_exceptions=True)

    def drop(self) -> None:
        """Breaks every connection; new ones work."""
        for link in self._links:
            link.cancel()

    def cut(self) -> None:
        """Breaks every connection, and each new one immediately."""
        self._whole = False
        self.drop()

    def restore(self) -> None:
        """Undoes `cut`."""
        self._whole = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.ensure_future(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        with suppress(asyncio.CancelledError):
            await link

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            if self._whole:
                back, forth = await _connect(self._target)
                ends.append(forth)
                await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))
        except OSError:
            pass  # the target does not listen now, or one side is gone
        finally:
            for end in ends:
                end.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionError


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if is_socket(target):
        return await asyncio.open_unix_connection(target.removeprefix("unix:"))
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))

"""A TCP proxy that adds delay, and whose connections a test can cut. It reorders nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from heddle.sockets import is_socket


class Proxy:
    """Forwards bytes between its own loopback port and `target`, host:port or unix:PATH, unless it is cut.

    `delay` is in seconds, and is added to each round trip. The caller can change it at any time.
    """

    def __init__(self, target: str, delay: float = 0.0) -> None:
        self.delay = delay
        self._target = target
        # Bytes that still reach the target before every connection breaks. None: any number.
        self._room: int | None = None
        # Every connection breaks at the answer to a message with these bytes. Empty: none does.
        self._fatal = b""
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._whole = True
        self.address = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, target: str, delay: float = 0.0) -> AsyncIterator[Self]:
        """Listens until the end of the block."""
        proxy = cls(target, delay)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.address = f"127.0.0.1:{proxy._server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            proxy._server.close()
            proxy.cut()
            await asyncio.gather(*proxy._links, return_exceptions=True)
            # The connections close in the next step of the event loop.
            await asyncio.sleep(0)

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

    def cut_after(self, sent: int) -> None:
        """Breaks every connection once `sent` more bytes have reached the target, in the middle of a message if need be.

        New connections work.
        """
        self._room = sent

    @property
    def will_cut(self) -> bool:
        """Whether a cut that was asked for has not happened yet."""
        return self._room is not None or bool(self._fatal)

    def spare(self) -> None:
        """Takes back a cut that has not happened yet."""
        self._room, self._fatal = None, b""

    def cut_at_answer(self, sent: bytes) -> None:
        """Breaks every connection when the target answers the next message that contains `sent`.

        The target has then done what it was asked for, and the client does not know. New connections work.
        """
        self._fatal = sent

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.ensure_future(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        # A link that is cancelled before its first step does not close its connection itself.
        link.add_done_callback(lambda _: writer.transport.abort())

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            if self._whole:
                back, forth = await _connect(self._target)
                ends.append(forth)
                doomed = asyncio.Event()
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._send(reader, forth, doomed))
                    both.create_task(self._answer(back, writer, doomed))
        except* OSError:
            pass  # the target does not listen now, or one side is gone
        finally:
            for end in ends:
                end.transport.abort()

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await reader.read(1 << 16):
            if self._fatal and self._fatal in data:
                self._fatal = b""
                doomed.set()
            if self._room is not None:
                part, self._room = data[: self._room], self._room - len(data)
                if self._room <= 0:
                    self._room = None
                    writer.write(part)
                    await writer.drain()
                    self.drop()
                    raise ConnectionError
            writer.write(data)
            await writer.drain()
        raise ConnectionError

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        clock = asyncio.get_running_loop().time

        async def deliver() -> None:
            while True:
                due, data = await on_the_way.get()
                if (early := due - clock()) > 0:
                    await asyncio.sleep(early)
                writer.write(data)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while data := await reader.read(1 << 16):
                if doomed.is_set():
                    self.drop()
                    raise ConnectionError
                on_the_way.put_nowait((clock() + self.delay, data))
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
        raise ConnectionError


async def _connect(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if is_socket(target):
        return await asyncio.open_unix_connection(target.removeprefix("unix:"))
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))

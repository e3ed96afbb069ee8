"""Reads a session's events from its worker while earlier ones are being stored."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Final

from heddle import pb

# Bytes of events that wait to be stored, if they came in several messages.
_MOST: Final = 64 << 10


async def joined(
    answers: AsyncIterable[pb.AgentServiceWatchSessionResponse],
) -> AsyncGenerator[pb.AgentServiceWatchSessionResponse, None]:
    """Yields the events of `answers`, joining those that arrive while the consumer is busy; raises its error at the end.

    A worker sends each event as soon as it has it, so a slow database would otherwise store one at a time. At most
    64 KiB or one message are read ahead; the rest stays in the worker's spool. Close the iterator to stop reading.
    """
    waiting: list[pb.AgentServiceWatchSessionResponse] = []
    size = 0
    ended = False
    news, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal size, ended
        try:
            async for answer in answers:
                if not answer.events:
                    continue
                added = answer.ByteSize()
                while waiting and size + added > _MOST:
                    room.clear()
                    await room.wait()
                waiting.append(answer)
                size += added
                news.set()
        finally:
            ended = True
            news.set()

    reading = asyncio.create_task(read())
    try:
        while True:
            while not waiting and not ended:
                news.clear()
                await news.wait()
            if not waiting:
                await reading
                return
            first, *others = waiting
            waiting.clear()
            size = 0
            room.set()
            for other in others:
                first.MergeFrom(other)
            yield first
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

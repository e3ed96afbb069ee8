"""Events that arrive while earlier ones are stored are joined, within a bound."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from heddle import pb
from scheduler_svc.pools.session_stream import joined

Answer = pb.AgentServiceWatchSessionResponse


def answer(sequence: int, size: int = 10) -> Answer:
    event = pb.Event(sequence=sequence, output=pb.Output(text="x" * size))
    return Answer(events=[event], resume_sequence=sequence)


class Worker:
    """Sends its answers at once; counts how many were read."""

    def __init__(self, answers: list[Answer], error: Exception | None = None) -> None:
        self._answers = answers
        self._error = error
        self.read = 0
        self.closed = False

    async def watch(self) -> AsyncIterator[Answer]:
        try:
            for each in self._answers:
                self.read += 1
                yield each
            if self._error:
                raise self._error
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def idle() -> None:
    """Lets every other task run until it waits."""
    for _ in range(100):
        await asyncio.sleep(0)


def sequences(found: Answer) -> list[int]:
    return [event.sequence for event in found.events]


async def test_what_arrives_meanwhile_is_one_batch() -> None:
    """All events that arrive before the next one is asked for are joined, in order; checkpoints are left out."""
    worker = Worker([answer(1), answer(2), Answer(resume_sequence=2), answer(3)])
    stream = joined(worker.watch())
    found = await anext(stream)
    assert sequences(found) == [1, 2, 3]
    assert found.resume_sequence == 3
    await stream.aclose()
    assert worker.closed


async def test_no_more_is_read_ahead_than_fits() -> None:
    """Without a consumer, at most 64 KiB and the message that does not fit are read, or a single larger message."""
    worker = Worker([answer(number, 30_000) for number in range(1, 10)])
    stream = joined(worker.watch())
    for place in (1, 3):
        # Two fit, and one more waits for room.
        assert sequences(await anext(stream)) == [place, place + 1]
        await idle()
        assert worker.read == place + 4
    await stream.aclose()

    worker = Worker([answer(number, 200_000) for number in range(1, 10)])
    stream = joined(worker.watch())
    assert sequences(await anext(stream)) == [1]
    await idle()
    assert worker.read == 3
    await stream.aclose()


async def test_error_comes_after_the_events_before_it() -> None:
    """What was received before the stream broke is still delivered; then its error is raised."""
    worker = Worker([answer(1), answer(2)], ValueError("broken"))
    stream = joined(worker.watch())
    await idle()
    assert sequences(await anext(stream)) == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)

"""A watch that breaks is resumed after a pause."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from heddle.client.rpc_caller import FIRST_PAUSE, Caller


class Call:
    """A stream with some responses, which then ends."""

    def __init__(self, responses: int, after: int) -> None:
        self._responses = responses
        self._after = after
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        for number in range(self._responses):
            yield SimpleNamespace(resume_sequence=self._after + number + 1)

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without waiting and without their random part."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("heddle.timing.backoff.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("heddle.timing.backoff.random", SimpleNamespace(uniform=lambda _low, high: high))
    return made


async def test_pauses_grow_only_while_nothing_comes(pauses: list[float]) -> None:
    """Each break without a response doubles the pause; after a response, it is short again, and the watch resumes where it was."""
    streams = [0, 0, 2, 1, 0, 1]
    calls: list[Call] = []
    began: list[int] = []

    def begin(seen: int) -> Any:
        began.append(seen)
        calls.append(Call(streams[len(calls)], seen))
        return calls[-1]

    async def is_over(_seen: int) -> bool:
        return len(calls) == len(streams)

    broken: list[str] = []
    watch = Caller("address", patience=0).watch(begin, is_over, 0, broken.append)
    seen = [response.resume_sequence async for response in watch]
    assert seen == [1, 2, 3, 4]
    assert began == [0, 0, 0, 2, 3, 3]
    assert pauses == [FIRST_PAUSE * factor for factor in (1, 2, 1, 1, 2)]
    assert broken == ["the server ended the stream"] * 5
    assert all(call.cancelled for call in calls)

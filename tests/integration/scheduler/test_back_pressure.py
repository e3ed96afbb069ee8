"""A database that is slower than the agents."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.testing import fake_agents
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import eventually, make_plan, scheduling, serving_fake

SESSIONS = 4
EVENTS = 600
# Bytes of one event; each session has more than gRPC would ever hold.
SIZE = 16_000


async def test_slow_database_leaves_events_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database takes nothing, the scheduler holds one batch of each session; later it stores every event."""
    monkeypatch.setattr(fake_agents, "_BATCH", 10)
    sent: dict[str, int] = {}
    watch = fake_agents.FakeAgents.WatchSession

    async def counting(
        self: Any, request: Any, context: Any
    ) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        async for answer in watch(self, request, context):
            # The worker asks for the next answer only when gRPC has taken this one.
            sent[request.attempt] = answer.resume_sequence
            yield answer

    monkeypatch.setattr(fake_agents.FakeAgents, "WatchSession", counting)
    flood = asyncio.Event()

    async def play(session: FakeSession) -> pb.SessionFinished:
        await flood.wait()
        for number in range(EVENTS):
            session.emit(output=pb.Output(text=str(number).ljust(SIZE) + "\n"))
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)

    worker = FakeWorker(slots=SESSIONS, play=play)
    async with serving_fake(worker) as address, scheduling(address, tmp_path) as scheduler:
        run = await scheduler.create(
            make_plan({f"epic-{number}": ["task"] for number in range(SESSIONS)}), max_parallel=SESSIONS
        )
        await eventually(lambda: len(sent) == SESSIONS)
        busy, free = threading.Event(), threading.Event()

        def occupy(_: Any) -> None:
            busy.set()
            free.wait(120)

        occupied = asyncio.ensure_future(scheduler.app.database.submit(occupy))
        try:
            assert await asyncio.to_thread(busy.wait, 60)
            flood.set()
            await eventually(lambda: all(sequence > 1 for sequence in sent.values()))
            # Only elapsed time can show that no more is read.
            await asyncio.sleep(2)
            held = sum(sent.values()) * SIZE
        finally:
            free.set()
        await occupied
        await scheduler.finished(run)
        for attempt in sent:
            request = pb.ListSessionEventsRequest(parent=attempt, page_size=5000, after_sequence=0)
            answers = [await scheduler.api.ListSessionEvents(request)]
            while answers[-1].more:
                request.after_sequence = answers[-1].events[-1].sequence
                answers.append(await scheduler.api.ListSessionEvents(request))
            sequences = [event.sequence for answer in answers for event in answer.events]
            assert sequences == list(range(1, EVENTS + 3))
    # Without a bound, gRPC alone would hold four times as much.
    assert held < SESSIONS << 20

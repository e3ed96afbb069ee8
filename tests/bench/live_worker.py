"""A worker in a process of its own, whose sessions report at a fixed rate until it ends.

python -m tests.bench.live_worker SESSIONS EVENTS_A_SECOND    prints its address, and serves until its input ends
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from typing import Any, Final

from heddle import logs, pb
from heddle.config import Settings
from heddle.rpc.serving import Server
from heddle.testing.fake_agents import FakeAgents
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.bench.child import child
from tests.bench.subjects import event_kinds
from tests.support.services import new_socket

SEED: Final = 7


def live_worker(sessions: int, rate: float) -> AbstractAsyncContextManager[str]:
    """Runs the process; yields its address. `rate` is the events a second of all sessions together."""
    return child("tests.bench.live_worker", sessions, rate)


class LiveAgents(FakeAgents):
    """Makes events when they are due, and keeps none: the sessions never end."""

    # Seconds between two events of a session.
    period = 1.0
    _random = random.Random(SEED)

    async def WatchSession(
        self, request: pb.AgentServiceWatchSessionRequest, context: Any
    ) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        session = self._session(request.attempt)
        if not request.after_sequence:
            yield pb.AgentServiceWatchSessionResponse(events=session.events, resume_sequence=1)
        kinds = event_kinds()
        due = time.time() + self._random.random() * self.period
        sequences = count(max(request.after_sequence, 1) + 1)
        while True:
            await asyncio.sleep(due - time.time())
            answer = pb.AgentServiceWatchSessionResponse()
            # A slow reader gets all that is due in one message, as from a spool, each with the time at which it was due.
            while due <= time.time():
                event = answer.events.add(sequence=next(sequences))
                event.MergeFrom(next(kinds))
                event.time.FromNanoseconds(round(due * 1e9))
                due += self.period
            if answer.events:
                answer.resume_sequence = answer.events[-1].sequence
                yield answer


async def _forever(_session: FakeSession) -> pb.SessionFinished:
    await asyncio.Event().wait()
    raise AssertionError


async def _serve(sessions: int, rate: float) -> None:
    LiveAgents.period = sessions / rate
    server = Server(FakeWorker(slots=sessions, play=_forever).service(LiveAgents), new_socket())
    await server.start()
    print(server.address, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    logs.configure(Settings.read({"HEDDLE_LOG_LEVEL": "warning"}), "bench")
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))

"""From an agent's process to a WatchSession client: events a second, and the delay of one event."""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.names import AttemptName
from heddle.rpc.channels import open_channel
from heddle.testing.driver_stage import make_worktree
from heddle.v1 import agent_service_pb2_grpc as stubs
from tests.bench.table import Table, milliseconds, percentile
from tests.support.fleet import Fleet

EVENTS: Final = 50_000
SAMPLES: Final = 60
SEED: Final = 7

# Seconds for which agent_svc joins pieces of text; see docs/events.md.
JOIN_WINDOW: Final = 0.1

# Prints the time repeatedly; each line is one event's content.
CLOCK = """
import random, sys, time
rng = random.Random({seed})
for _ in range({samples}):
    time.sleep(rng.uniform(0.15, 0.3))
    print(time.time(), flush=True)
"""


async def run() -> Table:
    """Measures one agent_svc process; takes about twenty seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        fleet = Fleet(Path(scratch) / "home", {"HEDDLE_SANDBOX_WRITABLE": scratch})
        try:
            await fleet.start("agent_svc")
            async with open_channel(fleet.agent) as channel:
                bench = _Bench(stubs.AgentServiceStub(channel), Path(scratch))
                live, replay = await bench.throughput()
                delays = await bench.delays()
        finally:
            fleet.stop()
    beyond = [max(0.0, delay - JOIN_WINDOW) for delay in delays]
    return Table(
        "Streaming",
        f"One agent_svc process, one client. {EVENTS:,} events that cannot be joined, for the rates; "
        f"{SAMPLES} lines with pauses (seed {SEED}), for the delay beyond the {JOIN_WINDOW * 1000:.0f} ms "
        "in which text is joined.",
        ("figure", "measured", "aim", "ratio"),
        [
            _rate("events a second, from the spool to the client", replay, 50_000),
            _rate("events a second, live: agent → spool with fsync → client", live, None),
            _delay("delay of one line, median ms beyond the window", statistics.median(beyond), 0.015),
            _delay("delay of one line, 95th percentile", percentile(beyond, 95), None),
        ],
    )


class _Bench:
    def __init__(self, agent: "stubs.AgentServiceAsyncStub", folder: Path) -> None:
        self._agent = agent
        self._folder = folder

    async def throughput(self) -> tuple[float, float]:
        """Returns events a second while the agent writes them, and afterwards from the spool."""
        random_tokens = random.Random(SEED)
        report = pb.ScriptStep.ReportUsage
        steps = [
            pb.ScriptStep(usage=report(model="bench", output_tokens=random_tokens.randint(1, 99)))
            for _ in range(EVENTS)
        ]
        name = AttemptName("bench", "streaming", "rate", 1)
        await self._start(name, pb.StartSessionRequest(agent="scripted", script=steps))
        return await self._live_rate(name), await self._spool_rate(name)

    async def _live_rate(self, name: AttemptName) -> float:
        """Counts the events after the first answer, so that the agent's start does not count."""
        began, first, count = 0.0, 0, 0
        async for events in self._watch(name):
            if not count:
                began, first = time.perf_counter(), len(events)
            count += len(events)
        _complete(count)
        return (count - first) / (time.perf_counter() - began)

    async def _spool_rate(self, name: AttemptName) -> float:
        began = time.perf_counter()
        count = sum([len(events) async for events in self._watch(name)])
        _complete(count)
        return count / (time.perf_counter() - began)

    async def delays(self) -> list[float]:
        """Returns, for each line, the seconds from the agent's write to this client."""
        program = self._folder / "clock.py"
        program.write_text(CLOCK.format(seed=SEED, samples=SAMPLES))
        name = AttemptName("bench", "streaming", "delay", 1)
        await self._start(name, pb.StartSessionRequest(agent=f"command:{sys.executable} {program}"))
        delays = []
        async for events in self._watch(name):
            now = time.time()
            texts = [event.output.text for event in events if event.HasField("output")]
            delays += [now - float(line) for line in "".join(texts).split()]
        if len(delays) < SAMPLES:
            raise RuntimeError(f"{len(delays)} lines of {SAMPLES} came")
        return delays

    async def _start(self, name: AttemptName, request: pb.StartSessionRequest) -> None:
        make_worktree(self._folder / "home", name.parent.parent)
        request.MergeFrom(pb.StartSessionRequest(attempt=str(name), epoch=1, timeout=Duration(seconds=60)))
        await self._agent.StartSession(request)

    async def _watch(self, name: AttemptName) -> AsyncIterator[list[pb.Event]]:
        request = pb.AgentServiceWatchSessionRequest(attempt=str(name))
        async for response in self._agent.WatchSession(request):
            if response.events:
                yield list(response.events)


def _complete(count: int) -> None:
    # Two more: started and finished.
    if count != EVENTS + 2:
        raise RuntimeError(f"{count} events came where {EVENTS + 2} were expected")


def _rate(label: str, measured: float, aim: float | None) -> tuple[str, str, str, str]:
    if aim is None:
        return label, f"{measured:,.0f}", "", ""
    return label, f"{measured:,.0f}", f"≥ {aim:,}", f"{measured / aim:.1f} x"


def _delay(label: str, measured: float, aim: float | None) -> tuple[str, str, str, str]:
    if aim is None:
        return label, milliseconds(measured), "", ""
    return label, milliseconds(measured), f"≤ {milliseconds(aim)}", f"{measured / aim:.1f} x"

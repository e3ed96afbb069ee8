"""Screenshots of epics that can move, which the scheduler copies because their worker can be lost."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from heddle import pb
from heddle.errors import HeddleError, from_rpc
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake

URL = "https://example.com/app"

# Larger than one message.
FIRST = b"first" * 100_000
SECOND = b"second"
TOO_MUCH = b"x" * (300 << 10)


def named(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


async def play(session: FakeSession) -> pb.SessionFinished:
    forged = named(b"forged")
    shots = [(named(data), data) for data in (FIRST, SECOND, TOO_MUCH)] + [(forged, b"other")]
    for artifact, data in shots:
        session.artifacts[artifact] = data
        session.emit(screenshot=pb.Screenshot(artifact=artifact, size_bytes=len(data)))
    return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


async def shown(scheduler: Scheduler, run: str, data: bytes) -> bytes | None:
    """Returns the bytes of a picture of the run; None if they are not there any more."""
    request = pb.ReadArtifactRequest(attempt=f"{run}/epics/a/tasks/one/attempts/1", artifact=named(data))
    try:
        return b"".join([part.data async for part in scheduler.api.ReadArtifact(request)])
    except grpc.aio.AioRpcError as error:
        found = from_rpc(error)
        assert found is not None
        assert found.reason == pb.ERROR_REASON_NOT_FOUND, found.message
        return None


async def test_screenshots_outlive_their_worker(
    worker: FakeWorker, tmp_path: Path, database_url: str
) -> None:
    """They are copied with their events, within the run's limit, also if the worker was away, and removed with the logs.

    A picture that is not what its event says is left out, and so are those of a project by path.
    """
    worker.play = play
    now = datetime(2026, 1, 2, tzinfo=UTC)
    asked: list[str] = []

    def before(method: str, request: Any) -> None:
        if method == "FetchArtifact":
            asked.append(request.artifact)
            if asked.count(request.artifact) == 1 and len(asked) == 1:
                raise HeddleError(pb.ERROR_REASON_DRAINING, "not now")

    worker.before = before
    limit = {"HEDDLE_SCREENSHOT_COPIES": str(len(FIRST) + len(TOO_MUCH))}
    async with (
        serving_fake(worker) as address,
        scheduling(address, tmp_path, database_url, limit, clock=lambda: now) as scheduler,
    ):
        request = pb.CreateRunRequest(plan=make_plan({"a": ["one"]}), project=URL)
        run = (await scheduler.api.CreateRun(request)).run.name
        told = await scheduler.finished(run)
        assert told[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
        # The first one is asked for again; the third one has no room.
        assert asked == [named(FIRST), named(FIRST), named(SECOND), named(b"forged")]
        path = await scheduler.create(make_plan({"a": ["one"]}))
        await scheduler.finished(path)
        assert len(asked) == 4
        log = await scheduler.api.ListSessionEvents(
            pb.ListSessionEventsRequest(parent=f"{run}/epics/a/tasks/one/attempts/1")
        )
        assert sum(event.HasField("screenshot") for event in log.events) == 4

        assert await shown(scheduler, run, TOO_MUCH) == TOO_MUCH
        worker.sessions.clear()
        assert await shown(scheduler, run, FIRST) == FIRST
        assert await shown(scheduler, run, SECOND) == SECOND
        assert [await shown(scheduler, run, each) for each in (TOO_MUCH, b"forged", b"none")] == [None] * 3
        assert await shown(scheduler, path, FIRST) is None

        now += timedelta(days=91)
        done = await scheduler.api.CollectGarbage(pb.CollectGarbageRequest())
        weights = {each.run: each.database_bytes for each in done.logs}
        assert weights[run] - weights[path] > len(FIRST)
        assert await shown(scheduler, run, FIRST) is None

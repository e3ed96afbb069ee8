"""Copies the screenshots of an epic that can move before their events are stored, because its worker can be lost."""

import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Final

import grpc
import structlog

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.lease_end import stream_before_lease_end
from scheduler_svc.pools.workers import from_worker
from scheduler_svc.store.rows import artifacts

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_TIMEOUT: Final = 60.0

# After it, the events are read again, and the copy is tried again.
_UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE


async def copy_artifacts(term: Term, attempt: AttemptName, worker: str, events: Iterable[pb.Event]) -> None:
    """Copies the screenshots that events name into the database, as far as their run has room for them. Idempotent.

    Raises NO_WORKER or UNAVAILABLE if the worker cannot be reached. A screenshot that the worker does not have, or that
    differs from its hash, is left out: its event is stored all the same.
    """
    for event in events:
        if event.HasField("screenshot"):
            await _copy(term, attempt, worker, event.screenshot)


async def _copy(term: Term, attempt: AttemptName, worker: str, shot: pb.Screenshot) -> None:
    run = attempt.parent.parent.parent
    room = await term.read(partial(artifacts.room, run=run, limit=term.retention.screenshots))
    if shot.size_bytes > room:
        log.info("screenshot_not_copied", attempt=str(attempt), size=shot.size_bytes, room=room)
        return
    try:
        data = await _fetch(term, attempt, worker, shot)
    except grpc.aio.AioRpcError as error:
        if error.code() is _UNAVAILABLE:
            raise
        log.warning("screenshot_not_copied", attempt=str(attempt), error=from_worker(worker, error).message)
        return
    if shot.artifact != f"sha256:{hashlib.sha256(data).hexdigest()}":
        log.warning("screenshot_not_copied", attempt=str(attempt), error="it differs from its hash")
        return
    keep = partial(artifacts.keep, attempt=attempt, artifact=shot.artifact, data=data)
    await term.write("keep_artifact", keep)


async def _fetch(term: Term, attempt: AttemptName, worker: str, shot: pb.Screenshot) -> bytes:
    """Returns the bytes, cut off after those that the event announces."""
    request = pb.FetchArtifactRequest(attempt=str(attempt), artifact=shot.artifact)
    stream = term.workers.get(worker).agent.FetchArtifact(request, timeout=_TIMEOUT)
    data = bytearray()
    async for part in stream_before_lease_end(term.workers, worker, stream):
        data += part.data
        if len(data) > shot.size_bytes:
            stream.cancel()
            break
    return bytes(data)

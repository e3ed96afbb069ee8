"""Relays calls that only a worker can serve: artifacts, diffs, and an operator's messages to an agent."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import grpc

from heddle import pb
from heddle.errors import HeddleError, invalid_field
from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.commands.runs.approval_answers import answer_to
from scheduler_svc.model.home import Home
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.pools.home_repository import give_access
from scheduler_svc.pools.workers import Workers, call, from_worker
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.leadership import read_epoch
from scheduler_svc.store.outcomes import parked_sessions
from scheduler_svc.store.queries.records import epic_row, run_row
from scheduler_svc.store.queries.resources import get_attempt
from scheduler_svc.store.rows import artifacts

# The state of a parked session in errors of its worker, and of a parked attempt in errors of this service.
_PARKED: Final = {"parked", pb.AttemptState.Name(pb.ATTEMPT_STATE_PARKED)}

# Seconds.
_ANSWER_TIMEOUT: Final = 30.0

# Bytes of an artifact in one message.
_PART: Final = 256 << 10


async def answer_approval(
    database: Database, workers: Workers, request: pb.ResolveApprovalRequest, actor: str, now: int
) -> None:
    """Sends the operator's answer to the worker, or stores it for the attempt that resumes a parked one.

    Raises INVALID_FIELD, NOT_FOUND or WRONG_STATE. `now` is in microseconds.
    """
    name = AttemptName.parse(request.attempt)
    found = await database.read(partial(get_attempt, name=name))
    asked = next((each for each in found.approvals if each.approval_id == request.approval_id), None)
    said = answer_to(asked, request)
    keep = partial(parked_sessions.answer, attempt=name, said=said, actor=actor, now=now)
    if found.HasField("end_time"):
        await database.submit(keep, LOOP, str(name.parent.parent.parent))
        return
    try:
        await _hand_over(database, workers, request.attempt, said, actor)
    except HeddleError as error:
        if error.metadata.get("state") not in _PARKED:
            raise
        # It was parked after the read above, whether or not the leader has recorded that yet.
        await database.submit(keep, LOOP, str(name.parent.parent.parent))


async def _hand_over(
    database: Database, workers: Workers, name: str, said: pb.ApprovalResolved, actor: str
) -> None:
    attempt, epoch = await _live(database, name, "its session has ended, so no answer is expected")
    answer = pb.AnswerApprovalRequest(
        attempt=attempt.name,
        epoch=epoch,
        approval_id=said.approval_id,
        approved=said.approved,
        message=said.message,
        actor=actor,
        scope=said.scope,
        rule=said.rule,
    )
    worker = workers.get(attempt.worker)
    await call(worker.name, worker.agent.AnswerApproval, answer, _ANSWER_TIMEOUT)


async def send_message(
    database: Database, workers: Workers, request: pb.SendMessageRequest, actor: str
) -> None:
    """Sends the operator's message to the worker; raises NOT_FOUND, WRONG_STATE or CANNOT_LISTEN."""
    attempt, epoch = await _live(
        database, request.attempt, "its session has ended, so it cannot receive messages"
    )
    if attempt.state == pb.ATTEMPT_STATE_STARTING:
        raise wrong_state(
            attempt.name, pb.AttemptState.Name(attempt.state), "send the message again in a moment"
        )
    message = pb.AgentServiceSendMessageRequest(
        attempt=attempt.name,
        epoch=epoch,
        text=request.text,
        message_id=request.message_id,
        actor=actor,
    )
    worker = workers.get(attempt.worker)
    await call(worker.name, worker.agent.SendMessage, message, _ANSWER_TIMEOUT)


async def _live(database: Database, attempt: str, advice: str) -> tuple[pb.Attempt, int]:
    """Returns a live attempt and the leader's epoch; raises NOT_FOUND, or WRONG_STATE with `advice`."""
    name = AttemptName.parse(attempt)
    found, epoch = await database.read(
        lambda connection: (get_attempt(connection, name), read_epoch(connection))
    )
    if found.HasField("end_time"):
        if found.state == pb.ATTEMPT_STATE_PARKED:
            advice = "answer its question, with what you want to say as the answer's message"
        raise wrong_state(name, pb.AttemptState.Name(found.state), advice)
    return found, epoch


async def read_artifact(
    database: Database, workers: Workers, request: pb.ReadArtifactRequest
) -> AsyncIterator[pb.ReadArtifactResponse]:
    """Yields the bytes of an artifact, from the database if that has a copy; raises NOT_FOUND."""
    name = AttemptName.parse(request.attempt)
    attempt, copied = await database.read(
        lambda connection: (get_attempt(connection, name), artifacts.read(connection, name, request.artifact))
    )
    if copied is not None:
        for first in range(0, len(copied), _PART):
            yield pb.ReadArtifactResponse(data=copied[first : first + _PART])
        return
    fetch = pb.FetchArtifactRequest(attempt=str(name), artifact=request.artifact)
    try:
        async for part in workers.get(attempt.worker).agent.FetchArtifact(fetch):
            yield pb.ReadArtifactResponse(data=part.data)
    except grpc.aio.AioRpcError as error:
        raise from_worker(attempt.worker, error) from error


async def get_diff(
    database: Database, workers: Workers, request: pb.GetDiffRequest
) -> AsyncIterator[pb.GetDiffResponse]:
    """Yields the diff of an attempt, epic or run; an empty diff if nothing is committed or kept yet."""
    if request.max_bytes < 0:
        raise invalid_field("max_bytes", "must not be negative")
    worker, asked = await database.read(partial(_revisions, name=request.name))
    if not asked.to_revision:
        yield pb.GetDiffResponse()
        return
    asked.max_bytes = request.max_bytes
    if asked.known_branches:
        await give_access(workers, asked, _epic_of(request.name))
    try:
        async for part in workers.get(worker).worktree.DiffRevisions(asked):
            yield pb.GetDiffResponse(text=part.text, truncated=part.truncated)
    except grpc.aio.AioRpcError as error:
        raise from_worker(worker, error) from error


def _epic_of(name: str) -> EpicName:
    return EpicName.parse("/".join(name.split("/")[:4]))


def _revisions(connection: Connection, name: str) -> tuple[str, pb.DiffRevisionsRequest]:
    """Returns the worker of a resource and the two revisions to compare for its diff."""
    depth = name.count("/")
    if depth == 1:
        return _run_revisions(connection, RunName.parse(name))
    if depth == 3:
        return _epic_revisions(connection, EpicName.parse(name))
    return _attempt_revisions(connection, AttemptName.parse(name))


def _run_revisions(connection: Connection, name: RunName) -> tuple[str, pb.DiffRevisionsRequest]:
    row = run_row(connection, name)
    request = pb.DiffRevisionsRequest(
        project=row.project, from_revision=row.base_commit, to_revision=row.head_commit
    )
    return row.worker, request


def _epic_revisions(connection: Connection, name: EpicName) -> tuple[str, pb.DiffRevisionsRequest]:
    worker, request = _run_revisions(connection, name.parent)
    row = epic_row(connection, name)
    request.from_revision = row.start_commit or request.from_revision
    # A branch that was reset no longer contains what it had merged in.
    request.from_merge_base = True
    request.to_revision = row.head_commit
    if row.worker not in {"", worker}:
        request.known_branches.add(branch=name.branch, commit=row.head_commit, elsewhere=True)
    return worker, request


def _attempt_revisions(connection: Connection, name: AttemptName) -> tuple[str, pb.DiffRevisionsRequest]:
    attempt = get_attempt(connection, name)
    home, request = _epic_revisions(connection, name.parent.parent)
    if commit := attempt.commit or attempt.review.commit:
        request.from_revision, request.to_revision = f"{commit}^", commit
        request.from_merge_base = False
        for known in request.known_branches:
            known.commit = commit
        # Submitted work is only where it was done.
        worker = home if attempt.commit else attempt.worker
    else:
        # Compares the files that a failed attempt left behind with the commit that it started from.
        request.from_revision = request.to_revision or request.from_revision
        request.to_revision = attempt.kept_ref
        worker = attempt.worker
    request.project = Home(request.project, home).project_at(worker)
    return worker, request

"""Merges an epic into its run's branch, or a run's branch into the one that its user named."""

from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc
import sqlalchemy as sa
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName, RunName
from scheduler_svc.leading import Lead, tries
from scheduler_svc.states import MergeState
from scheduler_svc.store.doorbell import LOOP
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import is_epic
from scheduler_svc.store.tables import epics, runs
from scheduler_svc.workers import call

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds.
_MERGE_TIMEOUT: Final = 600.0

_ACTOR: Final = "scheduler"


@dataclass(frozen=True)
class _Merge:
    """A merge that is under way."""

    worker: str
    request: pb.MergeBranchRequest


async def merge_epic(lead: Lead, epic: EpicName) -> None:
    """Does the merge that is noted as under way; its end is noted, whatever it is."""
    merge = await lead.read(partial(_epic_merge, epic=epic, epoch=lead.epoch))
    if merge is None:
        return
    try:
        answer = await _merge(lead, merge)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        write = partial(_epic_failed, epic=epic, reason=f"the merge failed: {error.message}", now=lead.now())
    else:
        write = partial(_epic_merged, epic=epic, answer=answer, now=lead.now())
    await lead.write(write, LOOP, str(epic.parent))


async def merge_run(lead: Lead, run: RunName) -> None:
    """Does the merge that is noted as under way; its end is noted, whatever it is."""
    merge = await lead.read(partial(_run_merge, run=run, epoch=lead.epoch))
    if merge is None:
        return
    try:
        answer = await _merge(lead, merge)
    except HeddleError as error:
        if error.reason == pb.ERROR_REASON_STALE_EPOCH:
            raise
        log.warning("merge_failed", run=str(run), error=error.message)
        conflict = pb.MergeBranchResponse.Conflict(advice=error.message)
        answer = pb.MergeBranchResponse(conflict=conflict)
    target = merge.request.target_branch
    write = partial(_run_merged, run=run, target=target, answer=answer, now=lead.now())
    await lead.write(write, LOOP, str(run))


async def _merge(lead: Lead, merge: _Merge) -> pb.MergeBranchResponse:
    async for _ in tries():
        try:
            worker = lead.workers.get(merge.worker)
            return await call(worker.name, worker.worktree.MergeBranch, merge.request, _MERGE_TIMEOUT)
        except HeddleError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            log.info("worker_not_ready", error=error.message)
    raise AssertionError("tries() has no end")


def _epic_merge(connection: sa.Connection, epic: EpicName, epoch: int) -> _Merge | None:
    row = connection.execute(
        sa.select(runs.c.worker, runs.c.project, runs.c.base_commit, runs.c.squash, epics.c.spec).where(
            *is_epic(epic), epics.c.merge_state == MergeState.MERGING, runs.c.run == epics.c.run
        )
    ).one_or_none()
    if row is None:
        return None
    title = pb.PlanEpic.FromString(row.spec).title
    request = pb.MergeBranchRequest(
        project=row.project,
        epoch=epoch,
        source_branch=epic.branch,
        target_branch=epic.parent.branch,
        create_target_at=row.base_commit,
        subject=f"Merge epic {title}",
        resource=str(epic),
        squash=row.squash,
    )
    return _Merge(row.worker, request)


def _run_merge(connection: sa.Connection, run: RunName, epoch: int) -> _Merge | None:
    row = connection.execute(
        sa.select(runs).where(runs.c.run == run.run, runs.c.merge_state == MergeState.MERGING)
    ).one_or_none()
    if row is None:
        return None
    request = pb.MergeBranchRequest(
        project=row.project,
        epoch=epoch,
        source_branch=run.branch,
        target_branch=row.merge_into,
        subject=f"Merge {row.title}",
        resource=str(run),
        squash=row.squash,
    )
    return _Merge(row.worker, request)


def _epic_merged(connection: sa.Connection, epic: EpicName, answer: pb.MergeBranchResponse, now: int) -> None:
    target = epic.parent.branch
    if answer.HasField("merged"):
        commit = answer.merged.commit
        values: dict[str, object] = {
            "merge_state": MergeState.MERGED,
            "merge_commit": commit,
            "conflict": None,
        }
        events = [_finished(epic, target, answer)]
    else:
        conflict = _conflicted(target, answer.conflict)
        count = len(conflict.files)
        reason = f"{count} file{'s conflict' if count != 1 else ' conflicts'} with {target}"
        # What becomes of it is the policy's to say.
        values = {
            "merge_state": MergeState.CONFLICTED,
            "reason": reason,
            "conflict": conflict.SerializeToString(),
        }
        events = [event(epic, _ACTOR, merge_conflicted=conflict)]
    change = sa.update(epics).where(*is_epic(epic), epics.c.merge_state == MergeState.MERGING)
    if not connection.execute(change.values(**values)).rowcount:
        return
    if answer.HasField("merged"):
        head = sa.update(runs).where(runs.c.run == epic.run).values(head_commit=answer.merged.commit)
        connection.execute(head)
    append(connection, events, now)


def _epic_failed(connection: sa.Connection, epic: EpicName, reason: str, now: int) -> None:
    change = sa.update(epics).where(*is_epic(epic), epics.c.merge_state == MergeState.MERGING)
    values = {
        "state": pb.EPIC_STATE_FAILED,
        "merge_state": MergeState.CONFLICTED,
        "reason": reason,
        "ended_at": now,
    }
    if connection.execute(change.values(**values)).rowcount:
        ended = pb.EpicFinished(outcome=pb.OUTCOME_FAILED, reason=reason)
        append(connection, [event(epic, _ACTOR, epic_finished=ended)], now)


def _run_merged(
    connection: sa.Connection, run: RunName, target: str, answer: pb.MergeBranchResponse, now: int
) -> None:
    merged = answer.HasField("merged")
    state = MergeState.MERGED if merged else MergeState.CONFLICTED
    change = sa.update(runs).where(runs.c.run == run.run, runs.c.merge_state == MergeState.MERGING)
    if not connection.execute(change.values(merge_state=state)).rowcount:
        return
    if merged:
        append(connection, [_finished(run, target, answer)], now)
    else:
        conflict = _conflicted(target, answer.conflict)
        append(connection, [event(run, _ACTOR, merge_conflicted=conflict)], now)


def _finished(name: EpicName | RunName, target: str, answer: pb.MergeBranchResponse) -> pb.Event:
    finished = pb.MergeFinished(target_branch=target, commit=answer.merged.commit)
    return event(name, _ACTOR, merge_finished=finished)


def _conflicted(target: str, conflict: pb.MergeBranchResponse.Conflict) -> pb.MergeConflicted:
    return pb.MergeConflicted(target_branch=target, files=conflict.files, advice=conflict.advice)

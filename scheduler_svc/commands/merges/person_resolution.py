"""Reads the conflict of an epic's merge for a person, and adds the task that starts with their resolution."""

from functools import partial
from typing import Any, Final, NamedTuple

from heddle import pb
from heddle.identity.principals import Call
from heddle.names import EpicName
from scheduler_svc.commands.merges import resolve_tasks
from scheduler_svc.commands.merges.epic_merges import check_conflicted
from scheduler_svc.commands.runs.reopen import reopen_run
from scheduler_svc.pools.workers import Workers, call
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.db.leadership import read_epoch
from scheduler_svc.store.queries.records import epic_row, run_row
from scheduler_svc.store.rows.callers import requests

# Seconds. Git can be slow in a large repository.
_TIMEOUT: Final = 120.0


class _Place(NamedTuple):
    """Where an epic's conflict is: its run's worker has both branches, or fetches them."""

    worker: str
    project: str
    epoch: int
    known_branches: list[pb.KnownBranch]
    # True: the attempt may start on another worker.
    is_placed: bool


async def read_conflict(
    database: Database, workers: Workers, request: pb.GetEpicConflictRequest | pb.GetConflictFileRequest
) -> pb.ReadConflictResponse:
    """Returns the files in conflict, or the parts of one; raises WRONG_STATE, CONFLICT_MOVED or INVALID_FIELD."""
    name = EpicName.parse(request.name)
    place = await database.read(partial(_place, name=name))
    asked = pb.ReadConflictRequest(project=place.project, epic=str(name), target_branch=name.parent.branch)
    if isinstance(request, pb.GetConflictFileRequest):
        asked.index = request.index
        asked.source_commit = request.source_commit
        asked.target_commit = request.target_commit
    worker = workers.get(place.worker)
    answer: pb.ReadConflictResponse = await call(worker.name, worker.worktree.ReadConflict, asked, _TIMEOUT)
    return answer


async def submit(
    database: Database, workers: Workers, request: pb.SubmitResolutionRequest, by: Call, now: int
) -> None:
    """Adds the task, unless this request_id already has; reopens the epic and its run if they have ended.

    Raises WRONG_STATE, CONFLICT_MOVED, CONFLICT_UNDECIDED, MARKERS_LEFT or INVALID_FIELD. `now` is in microseconds.
    """
    name = EpicName.parse(request.name)
    if await database.read(partial(requests.recall, request_id=request.request_id, request=request)):
        return
    place = await database.read(partial(_place, name=name))
    asked = pb.MakeResolutionRequest(
        project=place.project,
        epoch=place.epoch,
        epic=str(name),
        target_branch=name.parent.branch,
        source_commit=request.source_commit,
        target_commit=request.target_commit,
        files=request.files,
        known_branches=place.known_branches,
        push=place.is_placed,
    )
    worker = workers.get(place.worker)
    made: pb.MakeResolutionResponse = await call(worker.name, worker.worktree.MakeResolution, asked, _TIMEOUT)

    def work(connection: Connection) -> EpicName:
        check_conflicted(connection, name)
        reopen_run(connection, name.parent, by.principal.name, now)
        resolve_tasks.add_of_person(connection, name, made.commit, by.principal.name, now)
        return name

    write = partial(requests.once, request=request, work=work, call=by, now=now)
    await database.submit(write, LOOP, str(name.parent))


def _place(connection: Connection, name: EpicName) -> _Place:
    check_conflicted(connection, name)
    run: Any = run_row(connection, name.parent)
    epic: Any = epic_row(connection, name)
    elsewhere = epic.worker not in {"", run.worker}
    known = [
        pb.KnownBranch(branch=name.branch, commit=epic.head_commit, elsewhere=elsewhere),
        pb.KnownBranch(branch=name.parent.branch, commit=run.head_commit),
    ]
    return _Place(
        run.worker,
        run.project,
        read_epoch(connection),
        [each for each in known if each.commit],
        is_placed=bool(epic.generation),
    )

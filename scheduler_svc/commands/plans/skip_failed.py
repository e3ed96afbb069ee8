"""Skips the failed tasks that a new plan replaces, and lets run what did not run because of them."""

from heddle.names import EpicName, RunName
from scheduler_svc.commands.runs.reopen import is_closed, put_back, reopen_epic
from scheduler_svc.commands.runs.runs_and_tasks import skip_task
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.queries.plan_progress import Skipping, read_skipping
from scheduler_svc.store.queries.records import epic_row


def skip_failed(connection: Connection, scope: RunName | EpicName, actor: str, now: int) -> None:
    """Skips the failed tasks of a run or an epic; tasks that did not run because of a failure become pending.

    Does nothing if none has failed. Raises NOT_FOUND for an unknown epic, and WRONG_STATE as SkipTask does.
    """
    if isinstance(scope, EpicName):
        epic_row(connection, scope)
    run = RunName(scope.run)
    for key, skipping in read_skipping(connection, scope).items():
        for task in skipping.failed:
            skip_task(connection, run.epic(key).task(task), actor, now)
        _put_back(connection, run.epic(key), skipping, actor, now)


def _put_back(connection: Connection, epic: EpicName, skipping: Skipping, actor: str, now: int) -> None:
    if not skipping.unrun:
        return
    put_back(connection, epic, actor, now)
    if is_closed(connection, epic):
        reopen_epic(connection, epic, actor, now)

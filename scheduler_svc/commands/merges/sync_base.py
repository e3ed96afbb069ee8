"""Commands of an operator about new commits of the project's branch: epics take them in, or continue without them."""

from collections.abc import Sequence
from typing import Final

from heddle import pb
from heddle.errors import HeddleError, invalid_field
from heddle.names import EpicName, RunName
from heddle.plan.rules import SCRIPTED
from scheduler_svc.commands.runs.reopen import check_not_cancelling
from scheduler_svc.model import base_sync
from scheduler_svc.model.lifecycle.states import ENDED_EPIC, OPEN_TASK
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.store.db.database import Connection, Row
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, epics_of_run, run_row, task_rows
from scheduler_svc.store.queries.resources import get_epics
from scheduler_svc.store.rows import epics, tasks

_NOTHING_LEFT: Final = (
    "no task is left that could run on new commits; add a task, or let the merge meet them at the end"
)


def sync(connection: Connection, name: RunName | EpicName, actor: str, now: int, *, cancel: bool) -> None:
    """Has an epic, or all epics of a run with tasks left, take in the project's branch before their next attempt.

    With `cancel`, they continue without it. Does nothing for an epic of which the same was asked before. Raises
    NOT_FOUND and WRONG_STATE.
    """
    run = RunName(name.run)
    branch = _branch(connection, run)
    for each in _concerned(connection, name):
        epic = run.epic(each.epic)
        state = pb.SYNC_STATE_OFF if cancel else pb.SYNC_STATE_REQUESTED
        if cancel and pb.PlanEpic.FromString(each.spec).sync != pb.SYNC_POLICY_BETWEEN_TASKS:
            state = pb.SYNC_STATE_UNSPECIFIED
        if each.sync_state != state and (cancel or each.sync_state not in base_sync.WANTED):
            _decide(connection, epic, each, state, branch)
            asked = pb.SyncRequested(branch=branch, cancelled=cancel)
            append(connection, [event(epic, actor, sync_requested=asked)], now)


def resolve(connection: Connection, name: EpicName, agent: str, actor: str, now: int) -> None:
    """Has the agent of the epic's next attempt resolve the conflict with the project's branch that holds the epic.

    Raises WRONG_STATE, and INVALID_FIELD if `agent` is not empty or the next task is scripted.
    """
    branch = _branch(connection, name.parent)
    pending = [each for each in task_rows(connection, name) if each.state == pb.TASK_STATE_PENDING]
    if agent:
        raise invalid_field(
            "agent", f"must be absent: the agent of {pending[0].task}, the next task, resolves it"
        )
    if pb.PlanTask.FromString(pending[0].spec).agent == SCRIPTED:
        raise invalid_field("agent", f"the next task, {pending[0].task}, is scripted: merge {branch} by hand")
    _decide(connection, name, epic_row(connection, name), pb.SYNC_STATE_RESOLVING, branch)
    asked = pb.SyncRequested(branch=branch, resolve=True)
    append(connection, [event(name, actor, sync_requested=asked)], now)


def concerned(connection: Connection, name: RunName | EpicName) -> list[pb.Epic]:
    """Returns the epic, or all epics of a run with tasks left."""
    return get_epics(connection, name.run, [each.epic for each in _concerned(connection, name)])


def _branch(connection: Connection, name: RunName) -> str:
    row = run_row(connection, name)
    check_not_cancelling(connection, name)
    branch = base_sync.branch_of(row)
    if not branch:
        advice = "it started from a commit, not from a branch, and moves none, so there is nothing to take in"
        raise wrong_state(name, pb.RunState.Name(row.state), advice)
    return branch


def _concerned(connection: Connection, name: RunName | EpicName) -> Sequence[Row]:
    """Returns the rows of the epics; raises WRONG_STATE if none has tasks left."""
    if isinstance(name, EpicName):
        row = epic_row(connection, name)
        if not _has_tasks_left(connection, name, row):
            raise wrong_state(name, pb.EpicState.Name(row.state), _NOTHING_LEFT)
        return [row]
    run = run_row(connection, name)
    found = [
        row for row in epics_of_run(connection, name) if _has_tasks_left(connection, name.epic(row.epic), row)
    ]
    if not found:
        raise HeddleError(
            pb.ERROR_REASON_WRONG_STATE,
            f"{name} cannot be synced: {_NOTHING_LEFT}",
            state=pb.RunState.Name(run.state),
        )
    return found


def _has_tasks_left(connection: Connection, name: EpicName, row: Row) -> bool:
    return row.state not in ENDED_EPIC and any(
        each.state in OPEN_TASK for each in task_rows(connection, name)
    )


def _decide(
    connection: Connection, name: EpicName, row: Row, state: "pb.SyncState.ValueType", branch: str
) -> None:
    before = pb.EpicSync.FromString(row.sync or b"")
    after = pb.EpicSync(branch=branch, commit=before.commit if before.branch == branch else "")
    epics.change(connection, name, sync_state=state, sync=after.SerializeToString())
    for each in task_rows(connection, name) if before.reason else ():
        if each.state == pb.TASK_STATE_PENDING and each.reason == base_sync.conflict_of(before.reason):
            tasks.change(connection, name.task(each.task), reason="")

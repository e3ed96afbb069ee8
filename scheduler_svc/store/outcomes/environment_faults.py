"""Records what a run waits for while something is missing in its environment."""

from typing import Final, TypeAlias

import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName, RunName
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.rows import epics, runs, tasks

_ACTOR: Final = "scheduler"

# The name of what waits: an attempt, or the merge of an epic or run.
Waiter: TypeAlias = AttemptName | EpicName | RunName


def read_faulty(connection: sa.Connection) -> set[RunName]:
    """Returns the runs with a recorded fault."""
    found = connection.execute(sa.select(runs_table.c.run).where(runs_table.c.fault != ""))
    return {RunName(row.run) for row in found}


def is_cancelling(connection: sa.Connection, run: RunName) -> bool:
    """Returns whether the run is being cancelled."""
    state = sa.select(runs_table.c.state).where(runs_table.c.run == run.run)
    return bool(connection.execute(state).scalar_one() == pb.RUN_STATE_CANCELLING)


def record_fault(connection: sa.Connection, name: Waiter, error: HeddleError, now: int) -> None:
    """Records in its own row and its run's row that `name` waits."""
    runs.change(connection, RunName(name.run), fault=error.message)
    _give_reason(connection, name, error.message)
    reason = pb.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
    fault = pb.EnvironmentFault(reason=reason, message=error.message)
    append(connection, [event(name, _ACTOR, environment_fault=fault)], now)


def record_recovery(connection: sa.Connection, name: Waiter, now: int, *, began: int, others: bool) -> None:
    """Records that `name` no longer waits. `others`: others of its run still wait. Times are microseconds."""
    if not others:
        clear_fault(connection, name)
    _give_reason(connection, name, "")
    recovered = pb.EnvironmentRecovered()
    recovered.waited.FromMicroseconds(max(0, now - began))
    append(connection, [event(name, _ACTOR, environment_recovered=recovered)], now)


def clear_fault(connection: sa.Connection, name: Waiter) -> None:
    """Records that nothing in the run waits."""
    runs.change(connection, RunName(name.run), fault="")


def _give_reason(connection: sa.Connection, name: Waiter, reason: str) -> None:
    if isinstance(name, AttemptName):
        tasks.give_reason(connection, name.parent, reason)
    elif isinstance(name, EpicName):
        epics.give_merge_reason(connection, name, reason)

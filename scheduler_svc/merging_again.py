"""Merges an epic again after its operator mended what kept it from being merged."""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import EpicName
from scheduler_svc.commands import wrong_state
from scheduler_svc.states import ENDED_RUN, MergeState
from scheduler_svc.store.events import append, event
from scheduler_svc.store.resources import get_epics, is_epic
from scheduler_svc.store.tables import epics, runs


def get_epic(connection: sa.Connection, name: EpicName) -> pb.Epic:
    """Returns the epic; raises NOT_FOUND."""
    found = get_epics(connection, name.run, [name.epic])
    if not found:
        raise not_found(name)
    return found[0]


def retry_merge(connection: sa.Connection, name: EpicName, actor: str, now: int) -> None:
    """Reopens the epic, and its run where that had ended; the policy then merges it."""
    epic = _merge_of(connection, name)
    if epic.merge_state != MergeState.CONFLICTED:
        advice = (
            "only an epic whose merge conflicted or failed can be merged again; retry or skip tasks instead"
        )
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    if epic.run_state == pb.RUN_STATE_CANCELLING:
        advice = "wait until its processes are gone, then try again"
        raise wrong_state(name.parent, pb.RunState.Name(epic.run_state), advice)
    reopened = {"reason": "", "ended_at": None, "merge_state": MergeState.NONE}
    if epic.run_state in ENDED_RUN:
        change = sa.update(runs).where(runs.c.run == name.run)
        connection.execute(change.values(state=pb.RUN_STATE_RUNNING, **reopened))
        append(connection, [event(name.parent, actor, run_resumed=pb.RunResumed())], now)
    change = sa.update(epics).where(*is_epic(name))
    connection.execute(change.values(state=pb.EPIC_STATE_RUNNING, conflict=None, **reopened))
    append(connection, [event(name, actor, epic_ready=pb.EpicReady())], now)


def _merge_of(connection: sa.Connection, name: EpicName) -> Any:
    chosen = sa.select(epics.c.state, epics.c.merge_state, runs.c.state.label("run_state"))
    row = connection.execute(chosen.where(*is_epic(name), runs.c.run == epics.c.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return row

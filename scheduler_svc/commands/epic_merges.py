"""What an operator may ask about the merge of an epic: that it is done, done again, or left."""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.errors import not_found
from heddle.names import EpicName
from scheduler_svc.commands import resolve_tasks
from scheduler_svc.commands.runs_and_tasks import wrong_state
from scheduler_svc.model.states import ENDED_RUN, MergeState
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.tables import epics, runs
from scheduler_svc.store.queries.resources import get_epics, is_epic


def get_epic(connection: sa.Connection, name: EpicName) -> pb.Epic:
    """Returns the epic; raises NOT_FOUND."""
    found = get_epics(connection, name.run, [name.epic])
    if not found:
        raise not_found(name)
    return found[0]


def retry_merge(connection: sa.Connection, name: EpicName, actor: str, now: int) -> None:
    """Has an epic merged that awaits it, or again; reopens it, and its run, where they had ended."""
    epic = _merge_of(connection, name)
    awaits = epic.state == pb.EPIC_STATE_AWAITING_MERGE
    dropped = epic.state == pb.EPIC_STATE_DROPPED
    if not (awaits or dropped or epic.merge_state == MergeState.CONFLICTED):
        advice = (
            "only an epic that awaits its merge, was dropped, or whose merge conflicted or failed can be"
            " merged; retry or skip tasks instead"
        )
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    _reopen_run(connection, name, epic.run_state, actor, now)
    values = {
        "state": pb.EPIC_STATE_RUNNING,
        "reason": "",
        "ended_at": None,
        "conflict": None,
        "merge_state": MergeState.NONE,
        "merge_wanted": True,
    }
    connection.execute(sa.update(epics).where(*is_epic(name)).values(**values))
    append(connection, [event(name, actor, merge_requested=pb.MergeRequested())], now)


def resolve(connection: sa.Connection, name: EpicName, agent: str, actor: str, now: int) -> None:
    """Has an agent resolve what an epic conflicts over; reopens it, and its run, where they had ended."""
    epic = _merge_of(connection, name)
    conflict = pb.MergeConflicted.FromString(epic.conflict or b"")
    if epic.merge_state != MergeState.CONFLICTED or not (conflict.files or conflict.failed_checks):
        advice = "only an epic whose merge conflicted, or failed its checks, has something to resolve"
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    _reopen_run(connection, name, epic.run_state, actor, now)
    resolve_tasks.add(connection, name, agent, actor, now)


def drop(connection: sa.Connection, name: EpicName, actor: str, now: int) -> None:
    """Ends an epic unmerged; its run, where that had ended for its sake, is judged anew."""
    epic = _merge_of(connection, name)
    if epic.state == pb.EPIC_STATE_DROPPED:
        return
    if not (epic.state == pb.EPIC_STATE_AWAITING_MERGE or epic.merge_state == MergeState.CONFLICTED):
        advice = (
            "only an epic that awaits its merge, or whose merge conflicted or failed, can be dropped;"
            " take tasks out with skip"
        )
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    _reopen_run(connection, name, epic.run_state, actor, now)
    reason = f"dropped by {actor}"
    values = {
        "state": pb.EPIC_STATE_DROPPED,
        "reason": reason,
        "ended_at": now,
        "merge_state": MergeState.NONE,
    }
    connection.execute(sa.update(epics).where(*is_epic(name)).values(**values))
    dropped = pb.EpicFinished(outcome=pb.OUTCOME_DROPPED, reason=reason)
    append(connection, [event(name, actor, epic_finished=dropped)], now)


def _reopen_run(
    connection: sa.Connection, name: EpicName, state: "pb.RunState.ValueType", actor: str, now: int
) -> None:
    """Lets an ended run go on; raises WRONG_STATE while it is being cancelled."""
    if state == pb.RUN_STATE_CANCELLING:
        advice = "wait until its processes are gone, then try again"
        raise wrong_state(name.parent, pb.RunState.Name(state), advice)
    if state in ENDED_RUN:
        reopened = {"reason": "", "ended_at": None, "merge_state": MergeState.NONE}
        change = sa.update(runs).where(runs.c.run == name.run)
        connection.execute(change.values(state=pb.RUN_STATE_RUNNING, **reopened))
        append(connection, [event(name.parent, actor, run_resumed=pb.RunResumed())], now)


def _merge_of(connection: sa.Connection, name: EpicName) -> Any:
    chosen = sa.select(epics.c.state, epics.c.merge_state, epics.c.conflict, runs.c.state.label("run_state"))
    row = connection.execute(chosen.where(*is_epic(name), runs.c.run == epics.c.run)).one_or_none()
    if row is None:
        raise not_found(name)
    return row

"""Commands of an operator about the merge of an epic: merge, retry, resolve or drop it."""

from heddle import pb
from heddle.errors import not_found
from heddle.identity.principals import person
from heddle.names import EpicName
from scheduler_svc.commands.merges import resolve_tasks, sync_base
from scheduler_svc.commands.runs.reopen import reopen_run
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.model.lifecycle.status import wrong_state
from scheduler_svc.store.db.database import Connection
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.queries.records import epic_row, epic_status
from scheduler_svc.store.queries.resources import get_epics
from scheduler_svc.store.rows import epics


def get_epic(connection: Connection, name: EpicName) -> pb.Epic:
    """Returns the epic; raises NOT_FOUND."""
    found = get_epics(connection, name.run, [name.epic])
    if not found:
        raise not_found(name)
    return found[0]


def retry_merge(connection: Connection, name: EpicName, actor: str, now: int) -> None:
    """Requests an epic's merge, or a retry of it; reopens the epic and its run if they have ended."""
    epic = epic_status(connection, name)
    if epic not in transitions.EPIC_MERGE_AGAIN.sources:
        advice = (
            "only an epic that awaits its merge, was dropped, or whose merge conflicted or failed can be"
            " merged; retry or skip tasks instead"
        )
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    reopen_run(connection, name.parent, actor, now)
    epics.move(connection, name, transitions.EPIC_MERGE_AGAIN)
    append(connection, [event(name, actor, merge_requested=pb.MergeRequested())], now)


def check_conflicted(connection: Connection, name: EpicName) -> None:
    """Raises WRONG_STATE unless files of an epic's merge conflict; NOT_FOUND."""
    epic = epic_status(connection, name)
    conflict = pb.MergeConflicted.FromString(epic_row(connection, name).conflict or b"")
    if epic not in transitions.EPIC_RESOLVE.sources or not conflict.files:
        advice = "only an epic whose merge conflicted in files has something to resolve by hand"
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)


def resolve(connection: Connection, name: EpicName, agent: str, actor: str, now: int) -> None:
    """Has an agent resolve an epic's conflict; reopens the epic and its run if they have ended."""
    if epic_row(connection, name).sync_state == pb.SYNC_STATE_HELD:
        sync_base.resolve(connection, name, agent, actor, now)
        return
    epic = epic_status(connection, name)
    conflict = pb.MergeConflicted.FromString(epic_row(connection, name).conflict or b"")
    if epic not in transitions.EPIC_RESOLVE.sources or not (conflict.files or conflict.failed_checks):
        advice = "only an epic whose merge conflicted, or failed its checks, has something to resolve"
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    reopen_run(connection, name.parent, actor, now)
    resolve_tasks.add(connection, name, agent, actor, now)


def drop(connection: Connection, name: EpicName, actor: str, now: int) -> None:
    """Ends an epic without a merge; reopens its run if it has ended, to determine its outcome again."""
    epic = epic_status(connection, name)
    if epic.state == pb.EPIC_STATE_DROPPED:
        return
    if epic not in transitions.EPIC_DROP.sources:
        advice = (
            "only an epic that awaits its merge, or whose merge conflicted or failed, can be dropped;"
            " take tasks out with skip"
        )
        raise wrong_state(name, pb.EpicState.Name(epic.state), advice)
    reopen_run(connection, name.parent, actor, now)
    reason = f"dropped by {person(actor)}"
    epics.move(connection, name, transitions.EPIC_DROP, now=now, reason=reason)
    dropped = pb.EpicFinished(outcome=pb.OUTCOME_DROPPED, reason=reason)
    append(connection, [event(name, actor, epic_finished=dropped)], now)

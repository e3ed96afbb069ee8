"""Writes the worktree and the outcome of an attempt. Every write is idempotent."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from heddle import pb
from heddle.agents import provider_of
from heddle.names import AttemptName, RunName
from scheduler_svc.model.lifecycle import transitions
from scheduler_svc.policy.pauses import failed_at_once, retry_seconds
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.db.statements import (
    ACCEPTING,
    LIVE_ATTEMPT,
    of,
)
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.db.times import timestamp
from scheduler_svc.store.outcomes import base_syncs
from scheduler_svc.store.outcomes.environment_faults import is_cancelling
from scheduler_svc.store.queries.resources import attempts_at, get_spec, is_task, last_accepted
from scheduler_svc.store.rows import attempts, candidate_worktrees, epics, holds, tasks, usage_totals
from scheduler_svc.store.rows.unpushed_branches import note_pushes
from scheduler_svc.store.rows.usage_totals import Used

# outcome, attempts so far, retries, lost ones
ShouldRetry = Callable[["pb.Outcome.ValueType", int, int, int], bool]

ENDED_AS: Final = {
    pb.OUTCOME_STOPPED: pb.ATTEMPT_STATE_STOPPED,
    pb.OUTCOME_OVER_BUDGET: pb.ATTEMPT_STATE_STOPPED,
    pb.OUTCOME_LOST: pb.ATTEMPT_STATE_LOST,
    pb.OUTCOME_INTERRUPTED: pb.ATTEMPT_STATE_LOST,
}


# The outcomes of attempts that an error of their worker ended, other than FAILED: another attempt would meet the same
# conflict, and neither a lost disk nor a rule of the remote is the task's fault.
OUTCOMES: Final = {
    pb.ERROR_REASON_NEEDS_CONFLICT: pb.OUTCOME_CONFLICTED,
    pb.ERROR_REASON_SYNC_CONFLICT: pb.OUTCOME_CONFLICTED,
    pb.ERROR_REASON_WORKTREE_LOST: pb.OUTCOME_LOST,
    pb.ERROR_REASON_CLAIM_REFUSED: pb.OUTCOME_LOST,
}

# The task did not cause these outcomes: it runs again without using up a retry.
_UNCOUNTED: Final = frozenset({pb.OUTCOME_OVER_BUDGET, pb.OUTCOME_INTERRUPTED})


def record_worktree(
    connection: sa.Connection,
    attempt: AttemptName,
    ensured: pb.EnsureWorktreeResponse,
    *,
    worker: str,
    base_branch: str = "",
    now: int,
) -> None:
    """Records the epic's worktree, its lease, changes in it that no attempt made, and submodules that it lacks.

    Also records what the epic took in; `base_branch` is the project's branch that was asked for.
    """
    epic, worktree = attempt.parent.parent, ensured.worktree
    if ensured.HasField("found"):
        _note_found(connection, attempt, ensured.found, now)
    if ensured.HasField("submodules_not_filled"):
        _note_unfilled(connection, attempt, ensured.submodules_not_filled, worker, now)
    if attempt.parent.candidate:
        first = candidate_worktrees.note(connection, attempt.workspace, worktree)
    else:
        first = epics.note_worktree(connection, epic, worktree)
    if ensured.HasField("base"):
        base_syncs.record(connection, attempt, base_branch, ensured.base, now)
    if ensured.taken_in and not attempt.parent.candidate:
        # The work of other epics is not the epic's own.
        epics.change(connection, epic, start_commit=ensured.taken_in)
    if not first:
        return
    created = pb.WorktreeCreated(
        path=worktree.path,
        branch=worktree.branch,
        commit=worktree.head_commit,
        worker=worker,
        slot=worktree.lease.slot,
        ports=worktree.lease.ports,
    )
    owner = attempt if attempt.parent.candidate else epic
    append(connection, [event(owner, f"worker:{worker}", worktree_created=created)], now)


def _note_found(connection: sa.Connection, attempt: AttemptName, found: pb.ChangesFound, now: int) -> None:
    row = _live(connection, attempt)
    record = pb.Attempt.FromString(row.record) if row else None
    if record is None or record.found_ref == found.kept_ref:
        return
    record.found_ref = found.kept_ref
    attempts.change(connection, attempt, record=record.SerializeToString())
    append(connection, [event(attempt, "scheduler", changes_found=found)], now)


def _note_unfilled(
    connection: sa.Connection, attempt: AttemptName, unfilled: pb.SubmodulesNotFilled, worker: str, now: int
) -> None:
    row = _live(connection, attempt)
    record = pb.Attempt.FromString(row.record) if row else None
    if record is None or record.HasField("submodules_not_filled"):
        return
    record.submodules_not_filled.CopyFrom(unfilled)
    attempts.change(connection, attempt, record=record.SerializeToString())
    append(connection, [event(attempt, f"worker:{worker}", submodules_not_filled=unfilled)], now)


def _live(connection: sa.Connection, attempt: AttemptName) -> sa.Row[Any] | None:
    return connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()


class Acceptance(NamedTuple):
    """The commit that the task of an attempt is accepted with, at `now`, in microseconds."""

    attempt: AttemptName
    committed: pb.CommitTaskResponse
    now: int


def accept_all(connection: sa.Connection, accepted: Sequence[Acceptance]) -> list[None]:
    """Accepts the task of each attempt with its commit; does nothing for an attempt that has ended."""
    rows = fetch(connection, [(ACCEPTING, of(each.attempt)) for each in accepted])
    used = []
    for each, found in zip(accepted, rows, strict=True):
        for row in found:
            _accept(connection, *each, row)
            used.append(Used(each.attempt, row.usage, row.cost_micros, accepted=True))
    usage_totals.add(connection, used)
    return [None] * len(accepted)


def accept(
    connection: sa.Connection, attempt: AttemptName, committed: pb.CommitTaskResponse, now: int
) -> None:
    """Accepts the task of one attempt; like `accept_all`."""
    accept_all(connection, [Acceptance(attempt, committed, now)])


def note_commit(record: pb.Attempt, committed: pb.CommitTaskResponse) -> None:
    """Records what a commit contains, and what it does not."""
    record.diff_stat.CopyFrom(committed.diff_stat)
    record.no_changes = committed.no_changes
    if committed.HasField("ignored_files"):
        record.ignored_files.CopyFrom(committed.ignored_files)


def _accept(
    connection: sa.Connection, attempt: AttemptName, committed: pb.CommitTaskResponse, now: int, row: Any
) -> None:
    record = pb.Attempt.FromString(row.record)
    record.commit = committed.commit
    note_commit(record, committed)
    reason = unchanged_reason(committed) if committed.no_changes else ""
    end(connection, attempt, pb.ATTEMPT_STATE_ACCEPTED, reason=reason, record=record, now=now)
    accept_task(connection, attempt, committed, now, row)


def accept_task(
    connection: sa.Connection, attempt: AttemptName, committed: pb.CommitTaskResponse, now: int, row: Any
) -> None:
    """Accepts the task of an attempt whose own row is written already; `row` has the columns of ACCEPTING."""
    reason = unchanged_reason(committed) if committed.no_changes else ""
    tasks.move(
        connection,
        attempt.parent,
        transitions.TASK_ACCEPT,
        reason=reason,
        commit_id=committed.commit,
        accepted_attempt=attempt.number,
        unchanged=committed.no_changes and _says_nothing(row.spec),
    )
    holds.works(connection, provider_of(row.agent), now)
    epic = {"head_commit": committed.commit, "rewind_to": ""}
    if committed.merged_commit:
        # The merged commits are not the epic's own work.
        epic["start_commit"] = committed.merged_commit
        base_syncs.record_resolved(connection, attempt.parent.parent)
    epics.change(connection, attempt.parent.parent, **epic)
    accepted = pb.TaskAccepted(
        commit=committed.commit, diff_stat=committed.diff_stat, no_changes=committed.no_changes
    )
    events = [event(attempt, "scheduler", task_accepted=accepted)]
    if committed.HasField("ignored_files"):
        events.append(event(attempt, "scheduler", ignored_files_left=committed.ignored_files))
    branch = attempt.parent.parent.branch
    refused = {branch: committed.push_error} if committed.push_error else {}
    if refused or row.unpushed is not None:
        note_pushes(connection, RunName(attempt.run), [branch], refused)
    if committed.push_error:
        failed = pb.PushFailed(branch=branch, error=committed.push_error)
        events.append(event(attempt, "scheduler", push_failed=failed))
    append(connection, events, now)


def unchanged_reason(committed: pb.CommitTaskResponse) -> str:
    """Returns the reason that is shown for an accepted task that changed nothing."""
    ignored = committed.ignored_files
    if not ignored.count:
        return "it changed nothing"
    more = f" and {ignored.count - 1} more" if ignored.count > 1 else ""
    return f"it changed nothing that git keeps: git ignores {ignored.paths[0]}{more}"


def _says_nothing(spec: bytes) -> bool:
    """Returns whether the plan does not specify if a task must change anything; `spec` is a pb.PlanTask."""
    return pb.PlanTask.FromString(spec).expect == pb.EXPECT_UNSPECIFIED


def fail(
    connection: sa.Connection,
    attempt: AttemptName,
    result: pb.SessionFinished,
    kept: pb.DiscardAttemptResponse,
    *,
    should_retry: ShouldRetry,
    now: int,
    paced: bool = True,
) -> None:
    """Ends the attempt; the task gets another attempt or fails. Does nothing if the attempt has ended.

    `paced`: after an attempt that fails at once, the next one waits.
    """
    row = _live(connection, attempt)
    if row is None:
        return
    outcome, reason = ending(row, result)
    record = pb.Attempt.FromString(row.record)
    record.kept_ref = kept.kept_ref
    if kept.HasField("diff_stat"):
        record.diff_stat.CopyFrom(kept.diff_stat)
    ended_as = ENDED_AS.get(outcome, pb.ATTEMPT_STATE_FAILED)
    counts = row.counts and outcome not in _UNCOUNTED
    end(connection, attempt, ended_as, reason=reason, record=record, counts=counts, now=now)
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])
    again = _again(connection, attempt, outcome, should_retry, counts=counts)
    failed = pb.TaskFailed(reason=reason, will_retry=again, kept_ref=kept.kept_ref)
    pace = _pace(connection, attempt, now - row.started_at, now) if again and counts and paced else {}
    if pace:
        failed.retry_time.CopyFrom(timestamp(pace["start_after"]))
    append(connection, [event(attempt, "scheduler", task_failed=failed)], now)
    if outcome == pb.OUTCOME_SETUP_FAILED and not attempt.parent.candidate:
        epics.change(connection, attempt.parent.parent, setup_failure=reason)
    move = transitions.TASK_FAIL_ONCE if again else transitions.TASK_FAIL
    tasks.move(connection, attempt.parent, move, reason=reason, **pace)


def may_retry(connection: sa.Connection, attempt: AttemptName, should_retry: ShouldRetry) -> bool | None:
    """Returns whether a task gets another attempt if this one failed now; None if the attempt has ended."""
    row = _live(connection, attempt)
    if row is None:
        return None
    stopped = ends_for_good(row) is not None
    return not stopped and _again(connection, attempt, pb.OUTCOME_FAILED, should_retry, counts=row.counts)


def _pace(connection: sa.Connection, attempt: AttemptName, took: int, now: int) -> dict[str, int]:
    """Returns the columns that delay a task's next attempt after one of `took` microseconds, if any."""
    if not failed_at_once(took / 1e6):
        return {}
    before = sa.select(tasks_table.c.quick_failures).where(*is_task(attempt.parent))
    quick = connection.execute(before).scalar_one() + 1
    return {"quick_failures": quick, "start_after": now + round(retry_seconds(quick) * 1e6)}


def end(
    connection: sa.Connection,
    attempt: AttemptName,
    state: "pb.AttemptState.ValueType",
    *,
    reason: str = "",
    record: pb.Attempt,
    counts: bool = True,
    now: int,
) -> None:
    """Ends a live attempt."""
    # No question is open any more, even if the end of the session is unknown.
    record.ClearField("approvals")
    attempts.move(
        connection,
        attempt,
        transitions.ATTEMPT_END[state],
        now=now,
        reason=reason,
        record=record.SerializeToString(),
        counts=counts,
    )


def ends_for_good(row: Any) -> str | None:
    """Returns why a live attempt was stopped for good; None if it was not, or only because a budget is used up.

    A budget says nothing about work that is complete.
    """
    return row.stop_reason if row.counts else None


def ending(row: Any, result: pb.SessionFinished) -> tuple["pb.Outcome.ValueType", str]:
    """Returns how a live attempt ended and why: a stop by the operator counts before what its session reports."""
    if row.stop_reason is not None:
        return pb.OUTCOME_STOPPED, row.stop_reason
    return result.outcome, _reason_of(result)


def _reason_of(result: pb.SessionFinished) -> str:
    """Returns why a session did not succeed."""
    if result.reason:
        return result.reason
    return f"the session {pb.Outcome.Name(result.outcome).removeprefix('OUTCOME_').replace('_', ' ').lower()}"


def _again(
    connection: sa.Connection,
    attempt: AttemptName,
    outcome: "pb.Outcome.ValueType",
    should_retry: ShouldRetry,
    *,
    counts: bool,
) -> bool:
    if is_cancelling(connection, RunName(attempt.run)):
        return False
    if not counts:
        return True
    is_lost = sa.case((attempts_table.c.state == pb.ATTEMPT_STATE_LOST, 1))
    chosen = sa.select(sa.func.count(), sa.func.count(is_lost)).where(
        *attempts_at(attempt.parent),
        # Attempts before a task was reopened no longer count.
        attempts_table.c.number > last_accepted(connection, attempt.parent),
        attempts_table.c.counts,
    )
    counted, lost = connection.execute(chosen).one()
    return should_retry(outcome, counted, get_spec(connection, attempt.parent).retries, lost)

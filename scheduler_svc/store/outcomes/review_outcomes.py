"""Writes the steps of reviews: work that is submitted, and what its reviewers found. Every write is idempotent.

A review is an attempt of the same task: its task is PENDING between two steps, and `tasks.review` says which one is
next. The attempt whose work is under review is SUBMITTED until it is accepted or rejected.
"""

from typing import Any

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, RunName, TaskName
from scheduler_svc.model.lifecycle import reviews, transitions
from scheduler_svc.policy.decision import MAX_LOSSES
from scheduler_svc.store.db.events import append, event
from scheduler_svc.store.db.pipeline import fetch
from scheduler_svc.store.db.statements import ACCEPTING, ANY_ATTEMPT, LIVE_ATTEMPT, of
from scheduler_svc.store.db.tables import attempts as attempts_table
from scheduler_svc.store.db.tables import tasks as tasks_table
from scheduler_svc.store.outcomes.attempt_outcomes import (
    ENDED_AS,
    accept_task,
    end,
    ending,
    ends_for_good,
    note_commit,
)
from scheduler_svc.store.outcomes.environment_faults import is_cancelling
from scheduler_svc.store.queries.resources import attempts_at, get_spec, is_task
from scheduler_svc.store.rows import attempts, tasks, usage_totals
from scheduler_svc.store.rows.usage_totals import Used

# These endings of a reviewer's session say nothing about its answer: it is started again.
_REPEATED = frozenset({pb.OUTCOME_LOST, pb.OUTCOME_INTERRUPTED, pb.OUTCOME_OVER_BUDGET})


def review_of(connection: sa.Connection, name: TaskName) -> pb.Review | None:
    """Returns the review of a task's work that is next; None if its work is not under review."""
    stored = connection.execute(sa.select(tasks_table.c.review).where(*is_task(name))).scalar_one()
    return None if stored is None else pb.Review.FromString(stored)


def submit(
    connection: sa.Connection,
    attempt: AttemptName,
    committed: pb.CommitTaskResponse,
    kept_ref: str,
    *,
    now: int,
    score: float | None = None,
) -> None:
    """Ends a live attempt whose checks passed, and has its work reviewed. Does nothing if it has ended.

    `score` is that of a candidate whose task has a score command. If the attempt was stopped for good, its task fails
    instead, and its work stays under `kept_ref`.
    """
    row = _live(connection, attempt)
    if row is None:
        return
    task = attempt.parent
    planned = get_spec(connection, task).reviews
    review = reviews.first(planned, attempt.number, committed.commit, review_of(connection, task))
    record = pb.Attempt.FromString(row.record)
    record.kept_ref = kept_ref
    note_commit(record, committed)
    _use(connection, attempt, row)
    if (why := ends_for_good(row)) is not None:
        end(connection, attempt, pb.ATTEMPT_STATE_STOPPED, reason=why, record=record, now=now)
        tasks.move(connection, task, transitions.TASK_FAIL, reason=why)
        _tell_failure(connection, attempt, why, now)
        return
    end(connection, attempt, pb.ATTEMPT_STATE_SUBMITTED, record=record, counts=False, now=now)
    scored = {} if score is None else {"score": score}
    tasks.move(connection, task, transitions.TASK_REVIEW, review=review.SerializeToString(), **scored)
    agent = planned[review.position - 1].agent
    asked = pb.ReviewRequested(
        agent=agent, round=review.round, commit=committed.commit, diff_stat=committed.diff_stat
    )
    append(connection, [event(attempt, "scheduler", review_requested=asked)], now)


def finish(connection: sa.Connection, attempt: AttemptName, done: pb.Review, now: int) -> None:
    """Ends a live review with its verdict, unless that accepts the work; does nothing if it has ended.

    What follows is the next review, another attempt of the task's agent, or the failure of the task.
    """
    row = _live(connection, attempt)
    if row is None:
        return
    _end_review(connection, attempt, row, done, now)
    task = attempt.parent
    if done.verdict == pb.REVIEW_VERDICT_PASSED:
        following = reviews.after_pass(get_spec(connection, task).reviews, done)
        if following is None:
            raise ValueError(f"{attempt} is the last review: its work must be accepted")
        tasks.move(connection, task, transitions.TASK_REVIEW, review=following.SerializeToString())
        return
    reason = reviews.rejection(row.agent, done)
    stays = done.round < done.rounds and ends_for_good(row) is None
    # Only the last rejection is a failure of the task, which the prompt of a retry explains.
    _decide(connection, task, pb.ATTEMPT_STATE_FAILED, reason, counts=not stays)
    if stays and not is_cancelling(connection, RunName(attempt.run)):
        tasks.move(connection, task, transitions.TASK_REVIEW, review=done.SerializeToString())
        return
    tasks.move(connection, task, transitions.TASK_FAIL, reason=reason)
    _tell_failure(connection, task.attempt(done.attempt), reason, now)


def accept(
    connection: sa.Connection,
    attempt: AttemptName,
    done: pb.Review,
    committed: pb.CommitTaskResponse,
    now: int,
) -> None:
    """Ends the last review, and accepts the task with the reviewed work; does nothing if the review has ended."""
    (rows,) = fetch(connection, [(ACCEPTING, of(attempt))])
    if not rows:
        return
    (row,) = rows
    _end_review(connection, attempt, _live(connection, attempt), done, now)
    worked = attempt.parent.attempt(done.attempt)
    found = connection.execute(ANY_ATTEMPT, of(worked)).one()
    record = pb.Attempt.FromString(found.record)
    record.commit = committed.commit
    move = transitions.ATTEMPT_DECIDE[pb.ATTEMPT_STATE_ACCEPTED]
    attempts.move(connection, worked, move, reason="", record=record.SerializeToString())
    accept_task(connection, worked, committed, now, row)


def pass_candidate(connection: sa.Connection, attempt: AttemptName, done: pb.Review, now: int) -> None:
    """Ends the last review of a candidate's work, which passed and waits for a choice; nothing if it has ended.

    If the candidate was stopped for good, it fails instead, and its work is kept.
    """
    row = _live(connection, attempt)
    if row is None:
        return
    _end_review(connection, attempt, row, done, now)
    task = attempt.parent
    if (why := ends_for_good(row)) is not None:
        withdraw(connection, task, why)
        tasks.move(connection, task, transitions.TASK_FAIL, reason=why)
        _tell_failure(connection, task.attempt(done.attempt), why, now)
        return
    worked = task.attempt(done.attempt)
    record = pb.Attempt.FromString(connection.execute(ANY_ATTEMPT, of(worked)).one().record)
    record.commit = done.commit
    attempts.change(connection, worked, record=record.SerializeToString())
    tasks.move(connection, task, transitions.TASK_PASS, commit_id=done.commit)
    stored = sa.select(tasks_table.c.score).where(*is_task(task))
    score = connection.execute(stored).scalar_one()
    passed = pb.CandidatePassed(commit=done.commit, diff_stat=record.diff_stat, score=score)
    append(connection, [event(worked, "scheduler", candidate_passed=passed)], now)


def not_answered(
    connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int
) -> None:
    """Ends a live review without an answer that can be used; does nothing if it has ended.

    It is asked once more, and again after a stop for a budget. If it was already, its task fails, as after a stop of
    the operator; after a comparison, the choice is made without it.
    """
    row = _live(connection, attempt)
    if row is None:
        return
    stopped = ends_for_good(row) is not None
    outcome, reason = ending(row, result)
    record = pb.Attempt.FromString(row.record)
    ended_as = ENDED_AS.get(outcome, pb.ATTEMPT_STATE_FAILED)
    end(connection, attempt, ended_as, reason=reason, record=record, counts=False, now=now)
    _use(connection, attempt, row)
    task = attempt.parent
    if row.stop_reason is not None:
        review = None if stopped else record.review
    else:
        review = _again(connection, attempt, record.review, outcome, reason)
    if review is not None and not is_cancelling(connection, RunName(attempt.run)):
        tasks.move(connection, task, transitions.TASK_REVIEW, review=review.SerializeToString())
        _tell_failure(connection, attempt, reason, now, will_retry=True)
        return
    if record.review.HasField("comparison"):
        # Its score or a person decides.
        tasks.move(connection, task, transitions.TASK_UNCOMPARED, review=record.review.SerializeToString())
        _tell_failure(connection, attempt, reason, now, will_retry=True)
        return
    why = reason if stopped else f"its review by {row.agent} gave no usable answer: {reason}"
    withdraw(connection, task, why)
    tasks.move(connection, task, transitions.TASK_FAIL, reason=why)
    _tell_failure(connection, attempt, why, now)


def withdraw(connection: sa.Connection, task: TaskName, reason: str) -> None:
    """Ends the review of a task's work without a decision about it; does nothing if there is none."""
    _decide(connection, task, pb.ATTEMPT_STATE_STOPPED, reason)


def _again(
    connection: sa.Connection,
    attempt: AttemptName,
    review: pb.Review,
    outcome: "pb.Outcome.ValueType",
    reason: str,
) -> pb.Review | None:
    """Returns the review to repeat; None if it was repeated too often."""
    if outcome not in _REPEATED:
        return reviews.asked_again(review, reason)
    lost = sa.select(sa.func.count()).where(
        *attempts_at(attempt.parent),
        attempts_table.c.number > review.attempt,
        attempts_table.c.state == pb.ATTEMPT_STATE_LOST,
    )
    return review if connection.execute(lost).scalar_one() <= MAX_LOSSES else None


def _live(connection: sa.Connection, attempt: AttemptName) -> sa.Row[Any] | None:
    return connection.execute(LIVE_ATTEMPT, of(attempt)).one_or_none()


def _use(connection: sa.Connection, attempt: AttemptName, row: Any) -> None:
    usage_totals.add(connection, [Used(attempt, row.usage, row.cost_micros, accepted=False)])


def _end_review(connection: sa.Connection, attempt: AttemptName, row: Any, done: pb.Review, now: int) -> None:
    record = pb.Attempt.FromString(row.record)
    record.review.CopyFrom(done)
    end(connection, attempt, pb.ATTEMPT_STATE_REVIEWED, record=record, counts=False, now=now)
    _use(connection, attempt, row)
    finished = pb.ReviewFinished(
        attempt=done.attempt,
        agent=row.agent,
        round=done.round,
        rejected=done.verdict == pb.REVIEW_VERDICT_REJECTED,
        errors=reviews.count(done.findings, pb.REVIEW_SEVERITY_ERROR),
        warnings=reviews.count(done.findings, pb.REVIEW_SEVERITY_WARNING),
        notes=reviews.count(done.findings, pb.REVIEW_SEVERITY_NOTE),
    )
    append(connection, [event(attempt, "scheduler", review_finished=finished)], now)


def _decide(
    connection: sa.Connection,
    task: TaskName,
    state: "pb.AttemptState.ValueType",
    reason: str,
    *,
    counts: bool = False,
) -> None:
    submitted = sa.select(attempts_table.c.number).where(
        *attempts_at(task), attempts_table.c.state == pb.ATTEMPT_STATE_SUBMITTED
    )
    for number in connection.execute(submitted).scalars().all():
        move = transitions.ATTEMPT_DECIDE[state]
        attempts.move(connection, task.attempt(number), move, reason=reason, counts=counts)


def _tell_failure(
    connection: sa.Connection, attempt: AttemptName, reason: str, now: int, *, will_retry: bool = False
) -> None:
    failed = pb.TaskFailed(reason=reason, will_retry=will_retry)
    append(connection, [event(attempt, "scheduler", task_failed=failed)], now)

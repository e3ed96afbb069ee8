"""What the scheduler writes when a simulated session ends, by the kind of attempt; see `leader/attempts`."""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from heddle import pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.policy import decision
from scheduler_svc.policy.pauses import OUTAGES
from scheduler_svc.store.outcomes import (
    attempt_outcomes,
    candidate_outcomes,
    draft_outcomes,
    provider_outages,
    review_outcomes,
    session_ingest,
)
from scheduler_svc.store.queries.assignments import Assignment

# What the scheduler writes, in a transaction.
Write = Callable[[sa.Connection], object]

_ERROR = pb.ReviewFinding(severity=pb.REVIEW_SEVERITY_ERROR, text="wrong")


class SessionEnds:
    """Ends sessions. `branches` are those of the epics, which get the accepted commits, `broken` the violations."""

    def __init__(self, branches: defaultdict[EpicName, list[str]], broken: list[str]) -> None:
        self._branches = branches
        self._broken = broken
        # What the branch had when the work was submitted, by commit.
        self._bases: dict[str, list[str]] = {}
        # Work in which a blocking review found an error.
        self._rejected: set[str] = set()

    def write(
        self,
        attempt: AttemptName,
        assignment: Assignment,
        outcome: "pb.Outcome.ValueType",
        now: int,
        *,
        rejects: bool,
        score: float,
        merged: str,
    ) -> Write:
        """Returns the write that ends an attempt; `merged` is the commit of the project's branch whose conflict it resolved."""
        result = pb.SessionFinished(outcome=outcome)
        if outcome != pb.OUTCOME_SUCCEEDED:
            fail = _review_fails if assignment.review is not None else _fail
            return partial(fail, attempt=attempt, result=result, now=now)
        if assignment.draft:
            return partial(_hand_over, attempt=attempt, problem=rejects, now=now)
        if assignment.takes_over:
            commit = self._moved(attempt, assignment.submitted_commit)
            candidate = AttemptName.parse(assignment.takes_over)
            return partial(_take_over, attempt=attempt, candidate=candidate, commit=commit, now=now)
        if assignment.review is not None:
            return self._judged(attempt, assignment, assignment.review, rejects=rejects, now=now)
        commit = hashlib.sha256(str(attempt).encode()).hexdigest()[:40]
        committed = pb.CommitTaskResponse(commit=commit, merged_commit=merged)
        task = attempt.parent
        if task.candidate or assignment.spec.reviews:
            self._bases[commit] = list(self._branches[task.parent])
            scored = score if assignment.spec.score else None
            reviewed = bool(assignment.spec.reviews)
            return partial(
                _submit, attempt=attempt, committed=committed, score=scored, reviewed=reviewed, now=now
            )
        self._branches[task.parent].append(commit)
        return partial(_accept, attempt=attempt, committed=committed, now=now)

    def _judged(
        self, attempt: AttemptName, assignment: Assignment, review: pb.Review, *, rejects: bool, now: int
    ) -> Write:
        if review.HasField("comparison"):
            compared = review.comparison.candidates
            done = pb.Review()
            done.CopyFrom(review)
            done.comparison.best = compared[-1].candidate
            return partial(_compare, attempt=attempt, done=None if rejects else done, now=now)
        done = reviews.judged(review, [_ERROR] if rejects else [], "")
        passed = done.verdict == pb.REVIEW_VERDICT_PASSED
        planned = assignment.spec.reviews[review.position - 1]
        if rejects and (planned.blocking or not planned.HasField("blocking")):
            self._rejected.add(review.commit)
        if not passed or reviews.after_pass(assignment.spec.reviews, done) is not None:
            return partial(_finish_review, attempt=attempt, done=done, now=now)
        if attempt.parent.candidate:
            return partial(_pass_candidate, attempt=attempt, done=done, now=now)
        commit = self._moved(attempt, review.commit)
        return partial(_accept_reviewed, attempt=attempt, done=done, commit=commit, now=now)

    def _moved(self, attempt: AttemptName, commit: str) -> str:
        """Moves the branch to submitted work, which must build on what the branch has."""
        branch = self._branches[attempt.parent.parent]
        if commit in self._rejected:
            self._broken.append(f"{attempt} accepts {commit}, which a review has rejected")
        if self._bases[commit] != branch:
            self._broken.append(f"{attempt} accepts {commit}, which does not build on {branch}")
        branch.append(commit)
        return commit


def _hand_over(connection: sa.Connection, attempt: AttemptName, *, problem: bool, now: int) -> None:
    """Hands over a plan, which has a problem or none."""
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    draft = pb.Draft(
        attempt=str(attempt), problems=[pb.PlanRemark(message="no task has a check")] if problem else []
    )
    kept = pb.DiscardAttemptResponse()
    retried = decision.should_retry
    draft_outcomes.hand_over(connection, attempt, draft, kept, should_retry=retried, now=now)


def _accept(
    connection: sa.Connection, attempt: AttemptName, committed: pb.CommitTaskResponse, now: int
) -> None:
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    attempt_outcomes.accept(connection, attempt, committed, now)


def _submit(
    connection: sa.Connection,
    attempt: AttemptName,
    committed: pb.CommitTaskResponse,
    *,
    score: float | None,
    reviewed: bool,
    now: int,
) -> None:
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    if reviewed:
        review_outcomes.submit(connection, attempt, committed, "", now=now, score=score)
    else:
        candidate_outcomes.submit(connection, attempt, committed, score, now)


def _take_over(
    connection: sa.Connection, attempt: AttemptName, candidate: AttemptName, commit: str, now: int
) -> None:
    committed = pb.CommitTaskResponse(commit=commit)
    candidate_outcomes.accept(connection, attempt, candidate, committed, now)


def _finish_review(connection: sa.Connection, attempt: AttemptName, done: pb.Review, now: int) -> None:
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    review_outcomes.finish(connection, attempt, done, now)


def _compare(connection: sa.Connection, attempt: AttemptName, done: pb.Review | None, now: int) -> None:
    """Ends a comparison with a choice, or with an answer that cannot be used."""
    result = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
    _ingest(connection, attempt, result, now)
    if done is None:
        unusable = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="it names no candidate")
        review_outcomes.not_answered(connection, attempt, unusable, now)
    else:
        candidate_outcomes.choose_compared(connection, attempt, done, now)


def _pass_candidate(connection: sa.Connection, attempt: AttemptName, done: pb.Review, now: int) -> None:
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    review_outcomes.pass_candidate(connection, attempt, done, now)


def _accept_reviewed(
    connection: sa.Connection, attempt: AttemptName, done: pb.Review, commit: str, now: int
) -> None:
    _ingest(connection, attempt, pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED), now)
    review_outcomes.accept(connection, attempt, done, pb.CommitTaskResponse(commit=commit), now)


def _review_fails(
    connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int
) -> None:
    if not _ends_later(connection, attempt, result, now):
        review_outcomes.not_answered(connection, attempt, result, now)


def _fail(connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int) -> None:
    if _ends_later(connection, attempt, result, now):
        return
    kept = pb.DiscardAttemptResponse()
    attempt_outcomes.fail(connection, attempt, result, kept, should_retry=decision.should_retry, now=now)


def _ends_later(
    connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int
) -> bool:
    """Stores the end of a session; returns whether the attempt waits for its provider."""
    if result.outcome != pb.OUTCOME_LOST:
        _ingest(connection, attempt, result, now)
    return result.outcome in OUTAGES and provider_outages.suspend(connection, attempt, result, now)


def _ingest(connection: sa.Connection, attempt: AttemptName, result: pb.SessionFinished, now: int) -> None:
    said = [
        pb.Event(sequence=1, session_started=pb.SessionStarted(agent="scripted", process_id=1)),
        pb.Event(sequence=2, session_finished=result),
    ]
    session_ingest.ingest(connection, [session_ingest.Batch(attempt, said, now)])

"""Writes what the agent of a draft has handed over, and how its attempt ends thereby."""

import sqlalchemy as sa

from heddle import pb
from heddle.drafts.prompt import declined
from heddle.names import AttemptName
from scheduler_svc.model.plans.draft_words import rejection
from scheduler_svc.store.outcomes import attempt_outcomes
from scheduler_svc.store.outcomes.attempt_outcomes import ShouldRetry
from scheduler_svc.store.rows import drafts, tasks


def hand_over(
    connection: sa.Connection,
    attempt: AttemptName,
    draft: pb.Draft,
    kept: pb.DiscardAttemptResponse,
    *,
    should_retry: ShouldRetry,
    now: int,
) -> None:
    """Accepts the task, or lets its next attempt resume the session. Does nothing if the attempt has ended.

    Problems go back to the agent while attempts are left, an answer without a change of an existing plan only
    once; warnings go back once. Without attempts left, an earlier valid plan counts.
    """
    again = attempt_outcomes.may_retry(connection, attempt, should_retry)
    if again is None:
        return
    earlier = drafts.listed(connection, attempt.run)
    if earlier and declined(draft) and declined(earlier[-1]):
        # Its agent was asked once more, and still proposes no change.
        again, should_retry = False, _never
    drafts.insert(connection, attempt, draft)
    valid_before = any(not each.problems for each in earlier)
    if draft.problems:
        accepts = valid_before and not again
    else:
        accepts = valid_before or not draft.warnings or not again
    if accepts:
        # No commit is made: a draft changes nothing.
        attempt_outcomes.accept(connection, attempt, pb.CommitTaskResponse(), now)
        return
    failed = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=rejection(draft, again=again))
    attempt_outcomes.fail(connection, attempt, failed, kept, should_retry=should_retry, now=now, paced=False)
    tasks.change(connection, attempt.parent, resume_from=attempt.number)


def _never(_outcome: "pb.Outcome.ValueType", _attempts: int, _retries: int, _lost: int) -> bool:
    return False

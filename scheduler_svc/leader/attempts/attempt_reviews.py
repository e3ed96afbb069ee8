"""The steps of an attempt that belong to reviews: submitting its work, and judging a reviewer's answer.

`attempt_driver` calls them; each can be repeated after an interruption.
"""

from functools import partial
from typing import Final

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.leader.attempts.submitted_work import Commit, acceptance
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.lifecycle import reviews
from scheduler_svc.model.prompts import review_answer
from scheduler_svc.store.db.doorbell import attempt_topics
from scheduler_svc.store.outcomes import review_outcomes
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.session_log import final_text

# The end of a reviewer's output that is searched for its answer.
ANSWER_BYTES: Final = 2 << 20


async def submit(
    term: Term, attempt: AttemptName, request: pb.CommitTaskRequest, commit: Commit
) -> pb.CommitTaskResponse | None:
    """Has the work reviewed that `request` would commit; returns its commit instead if there is nothing to review."""
    request.submit = True
    committed = await commit(request)
    if committed.no_changes:
        request.submit = False
        return await commit(request)
    end = partial(
        review_outcomes.submit,
        attempt=attempt,
        committed=committed,
        kept_ref=committed.kept_ref,
        now=term.now(),
    )
    await term.write("submit", end, *attempt_topics(attempt))
    return None


def continued_commit(assignment: Assignment) -> str:
    """Returns the rejected commit whose files an attempt continues; empty if it does not."""
    rejected = assignment.rejected
    return rejected.commit if rejected and assignment.continue_attempt else ""


def environment(review: pb.Review | None) -> dict[str, str]:
    """Returns the variables of a reviewer's session; none for other sessions."""
    if review is None:
        return {}
    if review.HasField("comparison"):
        compared = review.comparison.candidates
        numbers = " ".join(str(each.candidate) for each in compared)
        commits = {f"HEDDLE_CANDIDATE_{each.candidate}_COMMIT": each.commit for each in compared}
        return {"HEDDLE_CANDIDATES": numbers} | commits
    return {"HEDDLE_REVIEW_BASE": f"{review.commit}^", "HEDDLE_REVIEW_COMMIT": review.commit}


async def judge(
    term: Term, attempt: AttemptName, assignment: Assignment, review: pb.Review, commit: Commit
) -> None:
    """Records what a reviewer answered. If that was the last review, accepts the task with the reviewed work."""
    metrics.attempt_ended(assignment.spec.agent, pb.OUTCOME_SUCCEEDED)
    text = await term.read(partial(final_text, name=attempt, most=ANSWER_BYTES))
    try:
        answer = review_answer.read(text)
    except review_answer.UnreadableError as error:
        reason = f"the answer cannot be read: {error}"
        await not_answered(term, attempt, pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=reason))
        return
    done = reviews.judged(review, answer.findings, answer.summary)
    rejected = done.verdict == pb.REVIEW_VERDICT_REJECTED
    if rejected or reviews.after_pass(assignment.spec.reviews, done) is not None:
        end = partial(review_outcomes.finish, attempt=attempt, done=done, now=term.now())
        await term.write("finish_review", end, *attempt_topics(attempt))
        return
    worked = attempt.parent.attempt(review.attempt)
    if attempt.parent.candidate:
        # Its task takes over the work once it is chosen.
        passed = partial(review_outcomes.pass_candidate, attempt=attempt, done=done, now=term.now())
        await term.write("pass_candidate", passed, *attempt_topics(attempt))
        return
    committed = await commit(acceptance(term, attempt, assignment, worked, review.commit))
    accept = partial(review_outcomes.accept, attempt=attempt, done=done, committed=committed, now=term.now())
    await term.write("accept_reviewed", accept, *attempt_topics(attempt))


async def not_answered(term: Term, attempt: AttemptName, result: pb.SessionFinished) -> None:
    """Records that a reviewer's session ended without an answer that can be used."""
    end = partial(review_outcomes.not_answered, attempt=attempt, result=result, now=term.now())
    await term.write("review_not_answered", end, *attempt_topics(attempt))

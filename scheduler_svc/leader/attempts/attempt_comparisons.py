"""The steps of an attempt in which an agent compares the candidates of its task.

`attempt_driver` calls them; each can be repeated after an interruption.
"""

from functools import partial

from heddle import pb
from heddle.names import AttemptName
from scheduler_svc.leader.attempts.attempt_reviews import ANSWER_BYTES, not_answered
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.prompts import comparison_prompt
from scheduler_svc.model.prompts.review_answer import UnreadableError
from scheduler_svc.store.db.doorbell import attempt_topics
from scheduler_svc.store.outcomes import candidate_outcomes
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.session_log import final_text


async def judge(term: Term, attempt: AttemptName, assignment: Assignment, review: pb.Review) -> None:
    """Records which candidate the agent chose; without a usable answer, it is asked once more."""
    metrics.attempt_ended(assignment.spec.agent, pb.OUTCOME_SUCCEEDED)
    text = await term.read(partial(final_text, name=attempt, most=ANSWER_BYTES))
    try:
        done = comparison_prompt.judged(review, text)
    except UnreadableError as error:
        reason = f"the answer cannot be read: {error}"
        await not_answered(term, attempt, pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=reason))
        return
    end = partial(candidate_outcomes.choose_compared, attempt=attempt, done=done, now=term.now())
    await term.write("finish_comparison", end, *attempt_topics(attempt))

"""The steps of an attempt that belong to candidates: submitting their work, and taking over that of the chosen one.

`attempt_driver` calls them; each can be repeated after an interruption.
"""

from functools import partial

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName
from scheduler_svc.leader.attempts.submitted_work import Commit, acceptance
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.plans import candidates
from scheduler_svc.store.db.doorbell import attempt_topics
from scheduler_svc.store.outcomes import candidate_outcomes, review_outcomes
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.resources import get_attempt


async def submit(
    term: Term, attempt: AttemptName, spec: pb.PlanTask, request: pb.CommitTaskRequest, commit: Commit
) -> None:
    """Keeps the work of a candidate whose checks passed, and has it reviewed if its task has reviews. Raises CHANGE_REFUSED if it has no score."""
    found = await term.read(partial(get_attempt, name=attempt))
    try:
        score = candidates.score_of(spec, found.checks)
    except candidates.ScoreError as error:
        raise HeddleError(pb.ERROR_REASON_CHANGE_REFUSED, str(error)) from error
    request.submit = True
    committed = await commit(request)
    if spec.reviews and not committed.no_changes:
        end: partial[None] = partial(
            review_outcomes.submit,
            attempt=attempt,
            committed=committed,
            kept_ref=committed.kept_ref,
            now=term.now(),
            score=score,
        )
    else:
        end = partial(
            candidate_outcomes.submit, attempt=attempt, committed=committed, score=score, now=term.now()
        )
    await term.write("submit", end, *attempt_topics(attempt))
    metrics.attempt_ended(spec.agent, pb.OUTCOME_SUCCEEDED)


async def accept(term: Term, attempt: AttemptName, assignment: Assignment, commit: Commit) -> None:
    """Accepts the task with the work of the chosen candidate, whose files are in the attempt's worktree."""
    candidate = AttemptName.parse(assignment.takes_over)
    committed = await commit(acceptance(term, attempt, assignment, candidate, assignment.submitted_commit))
    end = partial(
        candidate_outcomes.accept,
        attempt=attempt,
        candidate=candidate,
        committed=committed,
        now=term.now(),
    )
    await term.write("accept_candidate", end, *attempt_topics(attempt))
    metrics.PUSH_FAILURES.inc(bool(committed.push_error))


def environment(attempt: AttemptName) -> dict[str, str]:
    """Returns the variables that name a candidate's task and its number; none for other sessions."""
    task = attempt.parent
    return {"HEDDLE_TASK": task.whole.task, "HEDDLE_CANDIDATE": str(task.candidate)} if task.candidate else {}

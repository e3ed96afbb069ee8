"""Builds the prompt of an attempt: that of its task, or of a review of the task's work."""

from functools import partial
from typing import Final

from heddle import pb
from heddle.names import AttemptName
from heddle.plan.rules import SCRIPTED
from scheduler_svc.leader.attempts.attempt_calls import AttemptCalls
from scheduler_svc.leader.attempts.draft_handover import prompt_of_round
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.prompts import comparison_prompt, review_prompt
from scheduler_svc.model.prompts.merge_prompt import merge_prompt
from scheduler_svc.model.prompts.retry_prompt import prompt_after
from scheduler_svc.pools.worker import Worker
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.resources import get_last_failed

# Seconds.
_DIFF_TIMEOUT: Final = 120.0


async def prompt_of(
    term: Term,
    calls: AttemptCalls,
    attempt: AttemptName,
    assignment: Assignment,
    ensured: pb.EnsureWorktreeResponse,
) -> str:
    """Returns the prompt of an attempt whose worktree is ready, as `ensured` describes it.

    It has the cause of the last failure, unless the agent is scripted. A reviewer's change is read from the worker,
    by `calls`.
    """
    if assignment.review is not None and assignment.review.HasField("comparison"):
        return await _for_comparison(calls, assignment, assignment.review)
    if assignment.review is not None:
        return await _for_reviewer(calls, assignment, assignment.review)
    branch = assignment.base.branch if assignment.base else ""
    return merge_prompt(ensured, await _for_worker(term, attempt, assignment, ensured), branch)


async def _for_worker(
    term: Term, attempt: AttemptName, assignment: Assignment, ensured: pb.EnsureWorktreeResponse
) -> str:
    spec = assignment.spec
    if attempt.number == 1 or spec.agent == SCRIPTED:
        return spec.prompt
    if assignment.draft and (prompt := await prompt_of_round(term, attempt, spec)):
        return prompt
    failed = await term.read(partial(get_last_failed, name=attempt.parent))
    prompt = prompt_after(spec.prompt, failed) if failed else spec.prompt
    if (rejected := assignment.rejected) is None:
        return prompt
    reviewer = spec.reviews[rejected.position - 1].agent
    return review_prompt.for_worker(prompt, reviewer, rejected, files_kept=ensured.continued)


async def _for_reviewer(calls: AttemptCalls, assignment: Assignment, review: pb.Review) -> str:
    diff, whole = await _change(calls, assignment, review.commit, review_prompt.MAX_DIFF_BYTES)
    spec = assignment.spec
    of_plan = spec.reviews[review.position - 1]
    return review_prompt.for_reviewer(spec.prompt, of_plan, review, diff, whole=whole)


async def _for_comparison(calls: AttemptCalls, assignment: Assignment, review: pb.Review) -> str:
    most = comparison_prompt.diff_bytes(review.comparison)
    diffs = {
        each.candidate: await _change(calls, assignment, each.commit, most)
        for each in review.comparison.candidates
    }
    spec = assignment.spec
    return comparison_prompt.for_comparison(spec.prompt, spec.choose, review, diffs)


async def _change(
    calls: AttemptCalls, assignment: Assignment, commit: str, max_bytes: int
) -> tuple[str, bool]:
    """Returns the change that submitted work makes, and whether it is all of it."""
    asked = pb.DiffRevisionsRequest(
        project=assignment.project, from_revision=f"{commit}^", to_revision=commit, max_bytes=max_bytes
    )
    return await calls.ask(
        assignment, lambda worker: partial(_read_diff, worker), asked, _DIFF_TIMEOUT, stops_at_once=True
    )


async def _read_diff(worker: Worker, asked: pb.DiffRevisionsRequest, *, timeout: float) -> tuple[str, bool]:
    """Returns a diff, and whether it is all of it."""
    diff, whole = "", True
    async for part in worker.worktree.DiffRevisions(asked, timeout=timeout):
        diff += part.text
        whole = whole and not part.truncated
    return diff, whole
